//! Bad input of callers (rows C of the fault matrix), and data that must not leak
//! or be forged by it (D6, D7).

mod hashes;
mod texts;

use std::{
    io::{Read, Write},
    time::Duration,
};

use handler::server::Functions;
use serde_json::Value;

use crate::support::{App, HttpMode, app::MALWARE, host::ClientRequest, stage::Stage};

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
    "POST /api/hashes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

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
async fn field_s22_the_hosts_id_stands_behind_the_last_comma() {
    let app = App::start().await;
    let real = "0b1e0b1e-0000-4000-8000-00000000cafe";
    for (sent, expected) in [
        (format!("theirs, {real}"), Some(real)),
        (format!("a,b ,\t{real} "), Some(real)),
        (format!("{real},"), None),
        (format!("{real}, <script>"), None),
    ] {
        let asked = app
            .client()
            .get(app.host.url("api/hashes/zz"))
            .header("X-Azure-Functions-InvocationId", &sent)
            .send()
            .await
            .unwrap();
        let problem: Value = asked.json().await.unwrap();
        let id = problem["invocationId"].as_str().unwrap();
        match expected {
            Some(expected) => assert_eq!(id, expected, "{sent}"),
            None => assert!(id.len() == 36 && id != real, "{sent}: {id}"),
        }
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
