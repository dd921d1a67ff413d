//! Bad input of callers (rows C of the fault matrix), and data that must not leak
//! or be forged by it (D6, D7).

use std::{
    io::{Read, Write},
    time::Duration,
};

use handler::server::Functions;
use serde_json::{Value, json};

use crate::support::{
    App, HttpMode,
    app::{MALWARE, PUA_SHA1, unknown_hash},
    host::ClientRequest,
    stage::Stage,
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
    for other in [
        format!("{MALWARE} {MALWARE}"),
        format!("sha1:{MALWARE}"),
        format!("<{MALWARE}>"),
    ] {
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
        ["ok", "invalid", "invalid", "ok", "ok", "invalid", "invalid"]
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

/// Sends the beginning of a request and returns the open connection.
fn begin(port: u16, text: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

const HALF_A_HEADER: &str =
    "POST /api/hashes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn c07_bodies_that_do_not_arrive_are_given_up() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "2")]).await;
    let half = format!("{HALF_A_HEADER}Content-Length: 100\r\n\r\n[");
    let mut waiting: Vec<_> = (0..300).map(|_| begin(app.host.port, &half)).collect();
    for stream in &mut waiting {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            ["HTTP/1.1 408", "HTTP/1.1 503"].contains(&answer.as_ref()),
            "{answer}"
        );
    }
    assert_eq!(
        app.get_hash(MALWARE).await.status,
        200,
        "other callers are still served"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c07_headers_that_do_not_arrive_are_given_up() {
    let stage = Stage::start_with(Functions::new(), Duration::from_millis(300)).await;
    let mut stream = begin(stage.port, HALF_A_HEADER);
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("closed, not left open");
    assert_eq!(stage.get("").await.status(), 200);
}

#[tokio::test]
async fn other_methods_and_parameters_are_refused_with_what_is_taken() {
    let app = App::start().await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = ClientRequest {
            method,
            target: "/api/hashes",
            headers: &[],
            body: None,
        };
        let answer = app.send(request).await;
        assert_eq!(answer.problem(405), "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    let post_one = app
        .send(ClientRequest::post(&format!("/api/hashes/{MALWARE}"), "[]"))
        .await;
    assert_eq!(
        (post_one.problem(405).as_str(), post_one.header("allow")),
        ("method_not_allowed", Some("GET"))
    );
    let misspelled = app
        .send(ClientRequest::get(&format!(
            "/api/hashes/{MALWARE}?includ=stats"
        )))
        .await;
    assert_eq!(misspelled.problem(400), "unknown_parameter");
    let with_key = app
        .send(ClientRequest::get(&format!(
            "/api/hashes/{MALWARE}?code=key&clientId=x"
        )))
        .await;
    assert_eq!(with_key.status, 200);
}

#[tokio::test]
async fn c10_parameters_that_are_many_repeated_or_unknown_are_refused() {
    let app = App::start().await;
    let many = (0..1_000)
        .map(|number| format!("p{number}=x"))
        .collect::<Vec<_>>()
        .join("&");
    for (query, code) in [
        (many.as_str(), "unknown_parameter"),
        ("format=json&format=html", "repeated_parameter"),
        ("format=json,html", "unknown_format"),
        ("format=", "unknown_format"),
        ("hash=a&hash=b", "unknown_parameter"),
        ("include=stats,all", "unknown_include"),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!(
                "/api/hashes/{MALWARE}?{query}"
            )))
            .await;
        assert_eq!(
            answer.problem(400),
            code,
            "{}",
            &query[..query.len().min(40)]
        );
    }
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c10_parameters_that_a_forwarding_host_joins_are_refused_too() {
    let app = App::start().await;
    let target = format!("/api/hashes/{MALWARE}?format=json&format=html");
    let (status, body) = app
        .host
        .http(HttpMode::Forwarding, ClientRequest::get(&target))
        .await;
    assert!(status == 400 && body.contains("unknown_format"), "{body}");
}

#[tokio::test]
async fn c11_method_overrides_are_ignored_and_cors_is_not_offered() {
    let app = App::start().await;
    let headers = [
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "PUT"),
        ("Origin", "https://evil.example"),
    ];
    let answer = app
        .send(ClientRequest::get(&format!("/api/hashes/{MALWARE}")).with(&headers))
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("access-control-allow-origin").is_none());
    for method in ["HEAD", "OPTIONS", "TRACE"] {
        let request = ClientRequest {
            method,
            target: "/api/hashes",
            headers: &headers,
            body: None,
        };
        assert_eq!(app.send(request).await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn c08_odd_json_is_refused_and_a_mark_before_it_is_not() {
    let app = App::start().await;
    let deep = "[".repeat(10_000);
    let utf16: String = "[\"a\"]".chars().flat_map(|c| [c, '\0']).collect();
    for body in [deep.as_str(), utf16.as_str(), "[\"\\ud800\"]"] {
        assert_eq!(app.post(body).await.problem(400), "unrecognised_body");
    }
    let invalid = app
        .client()
        .post(app.host.url("api/hashes"))
        .body(vec![b'[', b'"', 0xff, b'"', b']'])
        .send()
        .await
        .unwrap();
    assert_eq!(invalid.status(), 400);
    assert_eq!(
        app.post(&format!("\u{feff}[\"{MALWARE}\"]")).await.json()["summary"]["malicious"],
        1
    );
}

#[tokio::test]
async fn c24_a_correlation_id_that_is_long_or_odd_is_replaced() {
    let app = App::start().await;
    let long = "a".repeat(10_000);
    for id in [long.as_str(), "a b", "<script>", "\"", ""] {
        let asked = app
            .client()
            .get(app.host.url("api/hashes/zz"))
            .header("X-Azure-Functions-InvocationId", id)
            .send()
            .await
            .unwrap();
        let problem: Value = asked.json().await.unwrap();
        assert_eq!(
            problem["invocationId"].as_str().unwrap().len(),
            36,
            "{}",
            &id[..id.len().min(20)]
        );
    }
}

#[tokio::test]
async fn c25_text_that_is_made_to_be_slow_is_read_in_linear_time() {
    let app = App::start().await;
    let headers = [("Content-Type", "text/plain")];
    for unit in ["a", "<", "&", "<b ", "sha256", "0x", "A\u{200b}"] {
        let text = unit.repeat((1 << 20) / unit.len());
        let asked = std::time::Instant::now();
        let request = ClientRequest {
            method: "POST",
            target: "/api/hashes",
            headers: &headers,
            body: Some(&text),
        };
        assert_eq!(app.send(request).await.status, 200);
        assert!(
            // Quadratic time would take hours.
            asked.elapsed() < Duration::from_secs(30),
            "{unit:?}: {:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test]
async fn d08_marks_that_turn_text_around_are_shown() {
    let app = App::start().await;
    let name = "\u{202e}gpj.exe\u{200b}";
    let file = sandbox::FileRecord::new(&unknown_hash(7), "Malware", Some(name)).signed(name, 1);
    app.cloud.add_file(file);
    for format in ["html", "markdown"] {
        let answer = app
            .send(ClientRequest::get(&format!(
                "/api/hashes/{}?format={format}",
                unknown_hash(7)
            )))
            .await;
        assert!(
            !answer.text.contains(['\u{202e}', '\u{200b}']) && answer.text.contains("202E"),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn d09_nothing_but_digits_reaches_a_hunting_query() {
    let app = App::start().await;
    for injected in ["x') | union DeviceInfo //.exe", "\" or 1==1", "\\"] {
        let answer = app.post_hashes(&[injected]).await.json();
        assert_eq!(answer["results"][0]["nextActions"], json!([]), "{injected}");
    }
    let kql = app.get_hash(MALWARE).await.json()["nextActions"][1]["kql"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        kql.starts_with("let hashes = dynamic([\"") && kql.contains(&format!("\"{MALWARE}\"")),
        "{kql}"
    );
}

#[tokio::test]
async fn d10_a_problem_holds_code_texts_and_the_invocation_and_nothing_else() {
    let app = App::start().await;
    app.cloud.add_fault(sandbox::Fault::status(400));
    let internal = app.cloud.defender_url();
    for answer in [
        app.get_hash(MALWARE).await,
        app.get_hash("zz").await,
        app.post("{").await,
    ] {
        let names: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            names,
            ["type", "title", "status", "code", "detail", "invocationId"]
        );
        assert!(
            !answer.text.contains(internal.trim_start_matches("http://"))
                && !answer.text.contains(".rs:")
        );
    }
}

#[tokio::test]
async fn d06_control_characters_of_a_caller_stay_inside_their_log_line() {
    let app = App::start().await;
    let long_id = "x".repeat(10_000);
    for id in ["a\tb", "\u{1b}", long_id.as_str()] {
        let headers = [
            ("X-Azure-Functions-InvocationId", id),
            ("Content-Type", "application/json"),
        ];
        let _ = app
            .client()
            .get(app.host.url("api/hashes/%0Azz"))
            .header(headers[0].0, headers[0].1)
            .send()
            .await;
    }
    app.host
        .console_line(|line| line.text.contains("hash_character"))
        .await;
    for line in app.host.console() {
        assert!(
            serde_json::from_str::<Value>(&line.text).is_ok_and(|line| line.is_object()),
            "{}",
            line.text
        );
        assert!(line.text.len() < 2_000 && !line.text.contains(['\u{1b}', '\t']));
    }
}

#[tokio::test]
async fn d07_nothing_secret_of_a_caller_reaches_a_log_or_an_answer() {
    let app = App::start().await;
    let headers = [
        ("Authorization", "Bearer SECRET.SECRET.SECRET"),
        ("x-functions-key", "SECRET"),
        ("Cookie", "a=SECRET"),
        ("x-ms-client-principal", "SECRET"),
        ("Content-Type", "application/json"),
    ];
    let mut answers = vec![
        app.send(ClientRequest::get(&format!("/api/hashes/{MALWARE}?code=SECRET")).with(&headers))
            .await,
        app.send(ClientRequest::get("/api/hashes/zz?sig=SECRET").with(&headers))
            .await,
        app.send(ClientRequest::get("/api/SECRET?sig=SECRET").with(&headers))
            .await,
        app.send(ClientRequest::post("/api/hashes", "{\"password\":\"SECRET\"}").with(&headers))
            .await,
    ];
    app.cloud.set_roles(&[]);
    answers.push(app.get_hash(&unknown_hash(1)).await);
    let envelope = json!({ "Data": { "req": { "Url": "SECRET", "Method": "GET", "Headers": { "x-functions-key": ["SECRET"] } } } });
    app.host.invoke("hash_lookup", &envelope).await.unwrap_err();
    app.host
        .console_line(|line| line.text.contains("envelope_input"))
        .await;
    for text in answers.iter().map(|answer| &answer.text) {
        assert!(!text.contains("SECRET") && !text.contains("eyJ"), "{text}");
    }
    // The console is checked when the host of any test ends.
    assert!(
        app.host
            .console()
            .iter()
            .all(|line| !line.text.contains("SECRET"))
    );
}
