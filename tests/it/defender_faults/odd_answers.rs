//! Responses that are truncated, odd, endless or about another file.

use sandbox::{Body, Fault, Sandbox, Tenant};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::TcpListener,
};

use super::{fails, is_reported_as_failure, recovers};
use crate::support::{
    App,
    app::{MALWARE, PUA, PUA_SHA1, run, unknown_hash, within},
    host::ClientRequest,
};

#[tokio::test]
async fn a10_a_truncated_answer_is_tried_again_and_never_half_read() {
    let half = r#"{"sha256":"97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe","determinationType":"Clean""#;
    assert_eq!(recovers(Fault::json(half)).await.len(), 2);
    let broken_off = Fault::json("").body(Body::TruncatedAfter(half.to_owned()));
    assert_eq!(recovers(broken_off.clone()).await.len(), 2);
    fails(broken_off, "failed", "upstream_unavailable").await;
    fails(Fault::json(half), "failed", "upstream_protocol").await;
}

#[tokio::test]
async fn a11_a_page_of_a_proxy_is_refused_after_one_more_try() {
    let page = Fault::json("<html>sign in</html>").header("content-type", "text/html");
    let app = App::start().await;
    app.cloud.add_fault(page);
    let answer = within(10, app.post_hashes(&[MALWARE])).await;
    is_reported_as_failure(&answer.json(), "failed", "upstream_protocol");
    assert_eq!(app.calls(), 2);
    assert!(!answer.text.contains("sign in"));
}

#[tokio::test]
async fn a12_an_answer_without_a_file_is_a_failure() {
    for empty in [
        "",
        "null",
        "{}",
        "[]",
        "7",
        r#"{"determinationType":"Clean"}"#,
    ] {
        fails(Fault::json(empty), "failed", "upstream_protocol").await;
    }
}

/// The verdict on a file whose response from Defender has these JSON fields.
async fn verdict_on(app: &App, fields: &str) -> Value {
    let number = app.calls();
    let hash = unknown_hash(1_000 + number);
    app.cloud
        .add_fault(Fault::json(&format!(r#"{{"sha256":"{hash}"{fields}}}"#)).times(1));
    app.get_hash(&hash).await.json()
}

#[tokio::test]
async fn a13_unknown_values_are_kept_and_never_clean() {
    let app = App::start().await;
    let foo = verdict_on(&app, r#","determinationType":"Foo""#).await;
    assert_eq!(
        (&foo["verdict"], &foo["reasons"][0]["code"]),
        (&json!("Unknown"), &json!("unrecognised_determination"))
    );
    assert_eq!(foo["file"]["determinationType"], "Foo");
    let number = verdict_on(&app, r#","determinationType":7,"globalPrevalence":"12""#).await;
    assert_eq!(
        (&number["verdict"], &number["file"]["globalPrevalence"]),
        (&json!("Unknown"), &json!(12))
    );
    assert_eq!(
        verdict_on(&app, "").await["reasons"][0]["code"],
        "no_determination"
    );
}

#[tokio::test]
async fn a14_odd_json_is_tolerated_and_ambiguous_json_refused() {
    for ambiguous in [
        r#""size":NaN"#,
        r#""size":1e400"#,
        r#""determinationType":"Malware""#,
    ] {
        let answer = format!(r#"{{"sha256":"{MALWARE}","determinationType":"Clean",{ambiguous}}}"#);
        fails(Fault::json(&answer), "failed", "upstream_protocol").await;
    }
    let app = App::start().await;
    let odd = r#","signer":null,"new":{"a":[1]},"size":1e300,"globalFirstObserved":"0001-01-01T00:00:00","determinationType":"Malware""#;
    let answer = verdict_on(&app, odd).await;
    assert_eq!(answer["verdict"], "Malicious");
    assert_eq!(
        (
            &answer["file"]["size"],
            &answer["file"]["globalFirstObserved"]
        ),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a15_an_answer_about_another_file_is_refused_and_not_remembered() {
    let other = format!(r#"{{"sha1":"{PUA_SHA1}","sha256":"{PUA}","determinationType":"Clean"}}"#);
    // Asked again on a new connection, Defender answers about another file again.
    let app = fails(Fault::json(&other).times(2), "failed", "upstream_protocol").await;
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    assert_eq!(app.get_hash(PUA).await.json()["verdict"], "Suspicious");
}

#[tokio::test]
async fn a16_an_endless_answer_is_cut_and_memory_stays_bounded() {
    let app = fails(
        Fault::json("").body(Body::Endless),
        "failed",
        "upstream_too_large",
    )
    .await;
    assert_eq!(app.calls(), 1);
    assert!(
        app.host.peak_memory() < 64,
        "{} MiB",
        app.host.peak_memory()
    );
}

#[tokio::test]
async fn a18_a_gzip_bomb_is_cut_where_it_unpacks() {
    let app = fails(
        Fault::json("").body(Body::gzip_bomb(200 << 20)),
        "failed",
        "upstream_too_large",
    )
    .await;
    assert!(
        app.host.peak_memory() < 64,
        "{} MiB",
        app.host.peak_memory()
    );
}

#[tokio::test]
async fn a16_a_small_answer_cannot_make_a_large_one_of_ours() {
    let app = App::start().await;
    let long = "x".repeat(200_000);
    app.cloud.add_fault(Fault::json(&format!(
        r#"{{"sha256":"{MALWARE}","signer":"{long}","issuer":"{long}"}}"#
    )));
    let answer = app.post_hashes(&[MALWARE; 500]).await;
    assert!(answer.text.len() < 2 << 20, "{}", answer.text.len());
    assert_eq!(answer.json()["summary"]["total"], 500);
}

/// A Defender whose connections have one answer too many: the second request on each gets
/// a 404, and every further one the answer to the request before. All files are malware.
async fn with_an_answer_too_many() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let malware = |hash: &str| {
        let body = json!({ "sha256": hash, "determinationType": "Malware" }).to_string();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufStream::new(stream);
                let mut waiting = Vec::new();
                for number in 1.. {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    let hash = line
                        .split(' ')
                        .nth(1)
                        .unwrap_or_default()
                        .rsplit('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned();
                    while line != "\r\n" {
                        line.clear();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    waiting.push(malware(&hash));
                    if number == 2 {
                        waiting.insert(
                            0,
                            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                        );
                    }
                    let answer = waiting.remove(0);
                    if stream.write_all(answer.as_bytes()).await.is_err()
                        || stream.flush().await.is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s07_no_file_is_unknown_because_of_an_answer_to_another_request() {
    let url = with_an_answer_too_many().await;
    let app = App::start_with(&[
        ("DEFENDER_API_URL", url.as_str()),
        ("DEFENDER_CALLS_PER_MINUTE", "10000"),
    ])
    .await;
    let hashes: Vec<String> = (0..300).map(unknown_hash).collect();
    let list = json!(hashes).to_string();
    let answer = app
        .send(ClientRequest::post("/api/hashes", &list))
        .await
        .json();
    let summary = &answer["summary"];
    assert_eq!(summary["unknown"], 0, "{summary}");
    assert!(summary["malicious"].as_u64().unwrap() > 250, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s07_a_long_list_at_a_shell_is_confirmed_too() {
    let url = with_an_answer_too_many().await;
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let mut variables = cloud.variables();
    variables.retain(|(name, _)| *name != "DEFENDER_API_URL");
    variables.push(("DEFENDER_API_URL", url));
    variables.push(("DEFENDER_CALLS_PER_MINUTE", "10000".to_owned()));
    let list: String = (0..300).map(|number| unknown_hash(number) + "\n").collect();
    let look_up = move || run(&["lookup", "-", "--format", "json"], &variables, &list);
    let output = tokio::task::spawn_blocking(look_up).await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let summary = &answer["summary"];
    assert_eq!(summary["unknown"], 0, "{summary}");
    assert!(summary["malicious"].as_u64().unwrap() > 250, "{summary}");
}
