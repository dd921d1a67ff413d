//! Connections and hosts: refusals of unfinished requests, slow callers, browsers, caches.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use sandbox::{Sandbox, Tenant};
use serde_json::json;

use crate::support::{
    App,
    app::{MALWARE, spawn, within},
    host::{ClientRequest, free_port},
};

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Sends a request with a body of `length` bytes and reads the status of its response, all
/// on one connection; returns it with the header lines.
fn exchange(stream: &mut TcpStream, head: &str, length: usize) -> String {
    let head = format!("{head}\r\nHost: localhost\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let piece = vec![b'['; 64 << 10];
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len());
        stream
            .write_all(&piece[..now])
            .expect("the server reads to the end");
        left -= now;
    }
    response(stream)
}

/// Reads one response with a `Content-Length`.
fn response(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s19_a_refusal_waits_for_the_end_of_the_request() {
    let app = App::start_guarded(&[]).await;
    let port = app.host.port;
    for (request, status) in [
        ("POST /api/hashes HTTP/1.1", "401"),
        ("POST /api/coverage HTTP/1.1", "401"),
        ("POST /api/nothing HTTP/1.1", "404"),
        ("POST /api/health HTTP/1.1", "405"),
        ("DELETE /api/explorer HTTP/1.1", "405"),
    ] {
        // The host sends up to 100 MB; 30 are far beyond the buffers of a socket.
        let mut stream = connect(port);
        let head = exchange(&mut stream, request, 30 << 20);
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{request}: {head}"
        );
        // The connection is as good as before.
        let head = exchange(&mut stream, "GET /api/health HTTP/1.1", 0);
        assert!(head.starts_with("http/1.1 200"), "{request}: {head}");
    }
    let open = App::start().await;
    let mut stream = connect(open.host.port);
    let too_large = "POST /api/hashes HTTP/1.1\r\nContent-Type: application/json";
    assert!(exchange(&mut stream, too_large, 30 << 20).starts_with("http/1.1 413"));
    let compressed = "POST /api/hashes HTTP/1.1\r\nContent-Encoding: gzip";
    assert!(exchange(&mut stream, compressed, 8 << 20).starts_with("http/1.1 415"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s14_a_connection_that_cannot_be_used_again_says_so() {
    let app = App::start_guarded(&[]).await;
    let mut stream = connect(app.host.port);
    let waits = "POST /api/hashes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(waits.as_bytes()).unwrap();
    let head = response(&mut stream);
    assert!(
        head.starts_with("http/1.1 401") && head.contains("\r\nconnection: close\r\n"),
        "{head}"
    );
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s16_slow_bodies_keep_no_other_request_waiting() {
    let app = App::start().await;
    let slow = "POST /api/hashes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[";
    let waiting: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = connect(app.host.port);
            stream.write_all(slow.as_bytes()).unwrap();
            stream
        })
        .collect();
    let list = json!([MALWARE]).to_string();
    for _ in 0..20 {
        assert_eq!(
            app.send(ClientRequest::get("/api/health")).await.status,
            200
        );
        assert_eq!(
            app.send(ClientRequest::post("/api/hashes", &list))
                .await
                .status,
            200
        );
    }
    drop(waiting);
}

/// Starts `serve` with `API_AUTH=off`; returns the cloud, the process and its port.
async fn serve_without_tokens() -> (Sandbox, tokio::process::Child, u16) {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let mut variables = cloud.variables();
    variables.push(("API_AUTH", "off".to_owned()));
    let port = free_port();
    let child = spawn(&["serve", "--port", &port.to_string()], &variables);
    let ready = format!("http://127.0.0.1:{port}/");
    within(10, async {
        while reqwest::get(&ready).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (cloud, child, port)
}

/// Neither an envelope, a timer, nor an unknown path answers a foreign caller.
async fn no_other_path_is_a_way_around(client: &reqwest::Client, port: u16) {
    for path in [
        "",
        "hash_lookup",
        "coverage_report",
        "api/health",
        "nothing",
    ] {
        let url = format!("http://127.0.0.1:{port}/{path}");
        for (name, value) in [
            ("host", "attacker.example"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let request = client.post(&url).header(name, value);
            let request = request
                .header("content-type", "application/json")
                .body("{}");
            assert_eq!(request.send().await.unwrap().status(), 403, "{path} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s11_without_tokens_only_this_machine_is_served() {
    let (_cloud, _child, port) = serve_without_tokens().await;
    let client = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/api/hashes");
    let body = json!([MALWARE]).to_string();
    let local = format!("http://localhost:{port}");
    for (headers, is_served) in [
        (vec![], true),
        (vec![("host", "localhost:8080")], true),
        (vec![("host", "[::1]:8080")], true),
        (vec![("host", "127.0.0.1")], true),
        (
            vec![
                ("origin", local.as_str()),
                ("sec-fetch-site", "same-origin"),
            ],
            true,
        ),
        (vec![("host", "attacker.example")], false),
        (vec![("host", "localhost.attacker.example")], false),
        (vec![("host", "127.0.0.1.attacker.example:80")], false),
        (vec![("origin", "https://attacker.example")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "same-site")], false),
    ] {
        let mut request = client
            .post(&url)
            .body(body.clone())
            .header("content-type", "application/json");
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let expected = if is_served { 200 } else { 403 };
        assert_eq!(answer.status(), expected, "{headers:?}");
        if !is_served {
            let text = answer.text().await.unwrap();
            assert!(text.contains("\"not_local\""), "{headers:?}: {text}");
        }
    }
    no_other_path_is_a_way_around(&client, port).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s21_probes_and_caches_are_answered() {
    let app = App::start().await;
    let client = app.client();
    let health = client
        .head(app.host.url("api/health"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let made = client
        .post(app.host.url("api/coverage"))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200);
    for file in [
        "coverage/summary.json",
        "coverage/coverage.csv",
        "coverage/coverage.html",
    ] {
        let url = app.host.url(&format!("api/{file}"));
        let head = client.head(&url).send().await.unwrap();
        assert_eq!(head.status(), 200, "{file}");
        let full = client.get(&url).send().await.unwrap();
        let tag = full.headers()["etag"].to_str().unwrap().to_owned();
        assert!(!full.bytes().await.unwrap().is_empty());
        let two = client.get(&url).header("if-none-match", "\"x\"");
        let two = two.header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(two.status(), 304, "two headers");
        for (known, status) in [
            (tag.clone(), 304),
            (format!("\"x\", W/{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
        ] {
            let again = client
                .get(&url)
                .header("if-none-match", &known)
                .send()
                .await
                .unwrap();
            assert_eq!(again.status(), status, "{file} {known}");
            assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
            assert_eq!(again.bytes().await.unwrap().is_empty(), status == 304);
        }
    }
}

/// Deep, long and broken texts.
fn hostile_bodies() -> Vec<String> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    vec![
        deep("[", "]"),
        deep("{\"a\":", ""),
        deep("{\"Entities\":[", "]}"),
        serde_json::to_string(&deep("\"[", "]\"")).unwrap(),
        "\\u".repeat(100_000),
        "<a href=".repeat(100_000),
        "=\n".repeat(500_000),
        "\u{0}\u{fffd}".repeat(100_000),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s20_no_input_ends_the_process_and_reading_changes_nothing() {
    let app = App::start().await;
    let process = app.host.pid();
    for body in hostile_bodies() {
        for content_type in ["application/json", "text/plain", "text/html"] {
            for path in [
                "api/hashes",
                "api/golden-image",
                "hash_lookup",
                "coverage_report",
            ] {
                let request = app.client().post(app.host.url(path));
                let request = request
                    .header("content-type", content_type)
                    .body(body.clone());
                let answer = request
                    .send()
                    .await
                    .expect("an answer, not a closed connection");
                assert!(
                    answer.status().as_u16() < 500,
                    "{path} {content_type}: {}",
                    answer.status()
                );
            }
        }
    }
    let long = "%00".repeat(10_000);
    for path in [
        "api/hashes/",
        "api/coverage/",
        "api/golden-image/",
        "api/explorer/",
    ] {
        let answer = app
            .client()
            .get(app.host.url(&format!("{path}{long}")))
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_client_error(),
            "{path}: {}",
            answer.status()
        );
    }
    assert_eq!(app.host.pid(), process);
    assert_eq!(app.calls(), 0, "nothing was asked of Defender");
    assert_eq!(
        app.send(ClientRequest::get("/api/health")).await.status,
        200
    );
}
