//! Inputs that are hashes, or nearly.

use serde_json::{Value, json};

use crate::support::{
    App,
    app::{MALWARE, PUA_SHA1, unknown_hash},
    host::ClientRequest,
};

#[tokio::test]
async fn c01_wrong_lengths_and_md5_are_refused_with_the_reason() {
    let app = App::start().await;
    for digits in [1, 31, 39, 41, 63, 65] {
        let hash = "a".repeat(digits);
        let answer = app.get_hash(&hash).await;
        assert_eq!(answer.problem(400), "hash_length");
        assert!(answer.text.contains(&digits.to_string()));
        let item = &app.post_hashes(&[&hash]).await.json()["results"][0];
        assert_eq!(
            (&item["status"], &item["error"]["code"]),
            (&json!("invalid"), &json!("hash_length"))
        );
    }
    let md5 = app.get_hash(&"a".repeat(32)).await;
    assert_eq!(md5.problem(400), "hash_md5");
    assert!(md5.text.contains("MD5 is not supported"));
    assert_eq!(
        app.get_hash("z".repeat(64).as_str()).await.problem(400),
        "hash_character"
    );
    assert_eq!(app.get_hash("").await.problem(405), "method_not_allowed");
    assert_eq!(app.get_hash("%20").await.problem(400), "hash_empty");
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c02_documented_forms_are_read_and_others_refused() {
    let app = App::start().await;
    let upper = MALWARE.to_uppercase();
    let forms = [
        format!(" {MALWARE}\n"),
        upper.clone(),
        format!("\"{MALWARE}\""),
        format!("SHA256:{upper}"),
        format!("sha256: {MALWARE}"),
        format!("0x{MALWARE}"),
        // The digits say what it is, whatever the prefix says.
        format!("sha1:{MALWARE}"),
    ];
    let answer = app
        .post_hashes(&forms.iter().map(String::as_str).collect::<Vec<_>>())
        .await
        .json();
    assert_eq!(answer["summary"]["malicious"], forms.len());
    assert_eq!(app.calls(), 1);
    assert_eq!(
        app.get_hash(&format!("%20{upper}%0A")).await.json()["hash"],
        MALWARE
    );
    for other in [format!("{MALWARE} {MALWARE}"), format!("<{MALWARE}>")] {
        assert_eq!(
            app.post_hashes(&[&other]).await.json()["summary"]["invalid"],
            1,
            "{other}"
        );
    }
}

#[tokio::test]
async fn c03_look_alikes_are_refused_by_code_point() {
    let app = App::start().await;
    let zero_width = format!("{MALWARE}\u{200b}");
    let rtl = format!("\u{202e}{MALWARE}");
    let cyrillic = MALWARE.replacen('a', "\u{430}", 1);
    let full_width = MALWARE.replacen('9', "\u{ff19}", 1);
    for (hash, point) in [
        (zero_width, "U+200B"),
        (rtl, "U+202E"),
        (cyrillic, "U+0430"),
        (full_width, "U+FF19"),
    ] {
        let answer = app.post_hashes(&[&hash]).await;
        let item = &answer.json()["results"][0];
        assert_eq!(item["error"]["code"], "hash_character");
        assert!(
            item["error"]["detail"].as_str().unwrap().contains(point),
            "{item}"
        );
        assert!(
            answer.text.is_ascii(),
            "shown, not repeated: {}",
            answer.text
        );
    }
    assert_eq!(app.get_hash("%D0%B0").await.problem(400), "hash_character");
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c04_no_path_reaches_another_url_of_defender() {
    let app = App::start().await;
    for hash in [
        "..%2f..%2fmachines",
        "%252e%252e%252f",
        "a%00b",
        &format!("{MALWARE};x=1"),
        "%ff%fe",
    ] {
        let answer = app.get_hash(hash).await;
        assert!(answer.problem(400).starts_with("hash_"), "{answer:?}");
    }
    let below = app.get_hash(&format!("{MALWARE}/machines")).await;
    assert_eq!(below.problem(404), "not_found");
    assert_eq!(
        app.send(ClientRequest::get("/api/other"))
            .await
            .problem(404),
        "not_found"
    );
    assert_eq!(
        app.send(ClientRequest::get("/etc/passwd"))
            .await
            .problem(404),
        "not_found"
    );
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c05_line_breaks_are_refused_and_reach_no_header_and_no_log_line() {
    let app = App::start().await;
    let answer = app.get_hash(&format!("{MALWARE}%0D%0AX-Forged:%201")).await;
    assert_eq!(answer.problem(400), "hash_character");
    assert!(answer.header("x-forged").is_none());
    let item = &app
        .post_hashes(&[&format!("{MALWARE}\r\nX: 1")])
        .await
        .json()["results"][0];
    assert_eq!(item["status"], "invalid");
    assert!(item["hash"].as_str().unwrap().contains("U+000D"), "{item}");
}

#[tokio::test]
async fn c06_lists_of_every_size_are_answered_item_by_item() {
    let app = App::start().await;
    for body in ["", "  "] {
        assert_eq!(app.post(body).await.problem(400), "empty_body");
    }
    for body in [
        "{",
        "{}",
        "null",
        "\"x\"",
        r#"{"hashes":null}"#,
        r#"{"hashes":[],"more":1}"#,
        "[[[",
    ] {
        assert_eq!(
            app.post(body).await.problem(400),
            "unrecognised_body",
            "{body}"
        );
    }
    for body in ["[]", r#"{"hashes":[]}"#] {
        let answer = app.post(body).await.json();
        assert_eq!(
            (&answer["results"], &answer["complete"]),
            (&json!([]), &json!(true))
        );
    }
    let mixed = json!([PUA_SHA1, "x", null, MALWARE, PUA_SHA1, [MALWARE], 7]);
    let answer = app.post(&mixed.to_string()).await.json();
    let statuses: Vec<Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].clone())
        .collect();
    assert_eq!(
        statuses,
        ["ok", "invalid", "invalid", "ok", "ok", "ok", "invalid"]
    );
    assert_eq!(answer["results"][0]["hash"], answer["results"][4]["hash"]);
    assert_eq!((&answer["summary"]["total"], app.calls()), (&json!(7), 2));
}

#[tokio::test]
async fn c06_too_many_are_refused_before_any_call() {
    let app = App::start().await;
    let distinct: Vec<String> = (0..1_001).map(unknown_hash).collect();
    assert_eq!(
        app.post(&json!(distinct).to_string()).await.problem(413),
        "too_many_hashes"
    );
    let repeated = vec!["1"; 1_000_000];
    assert_eq!(
        app.post(&json!(repeated).to_string()).await.problem(413),
        "too_many_hashes"
    );
    let large = format!("[\"{}\"]", "a".repeat(5 << 20));
    assert_eq!(app.post(&large).await.problem(413), "body_too_large");
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c06_a_hostile_body_takes_little_memory() {
    let app = App::start().await;
    for body in [
        format!("[{}1]", "1,".repeat(1_900_000)),
        format!("[{}1]", "{\"\":0},".repeat(500_000)),
    ] {
        assert_eq!(app.post(&body).await.problem(413), "too_many_hashes");
    }
    let peak = app.host.peak_memory();
    assert!(peak < 64, "{peak} MiB");
}
