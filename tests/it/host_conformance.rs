//! The Functions host's protocol, case by case (H1 to H30, X1 to X15).
//!
//! The ids are those of `tests/HOST.md`; cases that need a timer or a queue are in
//! `host_envelope.rs`.

mod process;
mod replies;

use serde_json::{Value, json};

use crate::support::{
    App, HttpMode,
    app::{CLEAN, MALWARE},
    host::{AfterExit, ClientRequest, build_and_get_uri},
    package,
    wire::{self, Bound, bind_http},
};

fn host_json() -> Value {
    serde_json::from_slice(&std::fs::read(package::unpacked().join("host.json")).unwrap()).unwrap()
}

fn wrapped(target: &str) -> Value {
    wire::http_envelope("GET", target, &[], None)
}

/// Envelopes of every kind that a caller could send, good and bad.
fn many_envelopes() -> Vec<Value> {
    vec![
        wrapped(&format!("/api/hashes/{MALWARE}")),
        wrapped("/api/hashes/zz"),
        wrapped("/api/hashes"),
        wrapped("/api/nothing"),
        wire::http_envelope("DELETE", "/api/hashes", &[], None),
        wire::http_envelope(
            "POST",
            "/api/hashes",
            &[],
            Some(&json!([CLEAN]).to_string()),
        ),
        wire::http_envelope("POST", "/api/hashes", &[], None),
        json!({}),
        json!({ "Data": {} }),
        json!({ "Data": { "req": "text" }, "Metadata": null }),
        json!([1]),
        json!(null),
    ]
}

#[tokio::test]
async fn h01_an_invocation_is_posted_to_the_functions_name_with_one_id() {
    let app = App::start().await;
    let reply = app
        .host
        .post_envelope("hash_lookup", &wrapped("/api/hashes/zz"))
        .await
        .unwrap();
    let (status, body) = bind_http(reply.read().unwrap().outputs.get("res")).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["invocationId"], reply.invocation_id.as_str());
}

#[test]
fn h02_metadata_scalars_are_json_in_a_string_and_dates_are_dates() {
    assert_eq!(wire::convert(&Bound::Other(json!(4))), "4");
    assert_eq!(
        wire::convert(&Bound::Other(json!("helloMetadata"))),
        "\"helloMetadata\""
    );
    assert_eq!(
        wire::convert(&Bound::Date("2026-11-23T10:00:00Z")),
        "2026-11-23T10:00:00Z"
    );
    assert_eq!(wire::convert(&Bound::Bytes(vec![1, 2, 3])), "AQID");
}

#[test]
fn h03_data_texts_are_double_encoded_and_objects_stay_objects() {
    assert_eq!(
        wire::convert(&Bound::Other(json!("HelloWorld"))),
        "\"HelloWorld\""
    );
    assert_eq!(
        wire::convert(&Bound::Object(json!({ "a": 1 }))),
        json!({ "a": 1 })
    );
}

#[tokio::test]
async fn h04_an_http_function_without_forwarding_answers_through_its_output() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped(&format!("/api/hashes/{MALWARE}")))
        .await
        .unwrap();
    let (status, body) = bind_http(completed.outputs.get("res")).unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("Malicious"));
}

#[tokio::test]
async fn h05_a_forwarded_request_keeps_path_query_headers_and_body() {
    let app = App::start().await;
    let headers = [
        ("Accept", "application/json"),
        ("Accept-Charset", "utf-8"),
        ("Content-Type", "application/json"),
    ];
    let list = json!({ "hashes": [MALWARE] }).to_string();
    let request = ClientRequest {
        method: "POST",
        target: "/api/hashes?code=Ink%20And%20Toner",
        headers: &headers,
        body: Some(&list),
    };
    let (status, body) = app.host.http(HttpMode::Forwarding, request).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"malicious\":1"));
    let misspelled = ClientRequest {
        target: "/api/hashes?cod=x",
        ..request
    };
    let (status, body) = app.host.http(HttpMode::Forwarding, misspelled).await;
    assert!(
        status == 400 && body.contains("unknown_parameter"),
        "the query arrives: {body}"
    );
    let (status, body) = app
        .host
        .http(
            HttpMode::Forwarding,
            ClientRequest {
                headers: &headers[..2],
                ..request
            },
        )
        .await;
    assert_eq!(status, 200, "without a content type it is JSON: {body}");
}

#[test]
fn h06_the_handlers_address_is_ipv4_loopback_and_its_port() {
    assert_eq!(build_and_get_uri(7071, ""), "http://127.0.0.1:7071/");
    assert_eq!(build_and_get_uri(7071, "x"), "http://127.0.0.1:7071/x");
}

#[tokio::test]
async fn h07_a_forwarded_failure_is_a_completed_invocation_with_its_status_and_body() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "1")]).await;
    app.cloud.add_fault(sandbox::Fault::status(500));
    let target = format!("/api/hashes/{MALWARE}");
    for mode in [HttpMode::Forwarding, HttpMode::Proxying] {
        let (status, body) = app.host.http(mode, ClientRequest::get(&target)).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("upstream_unavailable"));
    }
}

#[tokio::test]
async fn h08_a_proxy_replaces_the_clients_host_headers_and_waits_for_a_restart() {
    let mut app = App::start().await;
    let forged = [
        ("X-Azure-Functions-InvocationId", "forged"),
        ("X-Azure-Functions-HostVersion", "0"),
    ];
    let answer = app
        .send(ClientRequest::get("/api/hashes/zz").with(&forged))
        .await;
    assert_ne!(answer.json()["invocationId"], "forged");

    app.host.kill();
    assert_eq!(app.host.after_exit().await, AfterExit::Restarted);
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
}

#[tokio::test]
async fn h09_a_result_has_outputs_logs_and_a_return_value() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped("/api/hashes/zz"))
        .await
        .unwrap();
    assert_eq!(
        (
            completed.outputs.len(),
            completed.logs.len(),
            completed.return_value
        ),
        (1, 0, Value::Null)
    );
}

#[tokio::test]
async fn x01_a_chunked_body_without_a_length_is_read() {
    let app = App::start().await;
    let list = json!({ "hashes": [MALWARE] }).to_string();
    let envelope = wire::http_envelope(
        "POST",
        "/api/hashes",
        &[("Content-Type", "application/json")],
        Some(&list),
    );
    let completed = app.host.invoke("hash_lookup", &envelope).await.unwrap();
    assert!(
        bind_http(completed.outputs.get("res"))
            .unwrap()
            .1
            .contains("\"malicious\":1")
    );

    let chunks = list
        .into_bytes()
        .chunks(7)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let answer = app
        .client()
        .post(app.host.url("api/hashes"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap().contains("\"malicious\":1"));
}

#[tokio::test]
async fn x12_of_two_invocation_ids_the_hosts_one_counts() {
    let app = App::start().await;
    let forged = [("X-Azure-Functions-InvocationId", "forged-by-the-client")];
    let request = ClientRequest::get("/api/hashes/zz").with(&forged);
    let response = app.host.forward(HttpMode::Forwarding, request).await;
    let id = response.json::<Value>().await.unwrap()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(id != "forged-by-the-client" && id.len() == 36, "{id}");
}

#[tokio::test]
async fn x14_names_and_paths_are_matched_without_regard_to_case() {
    let app = App::start().await;
    let answer = app
        .send(ClientRequest::get(&format!(
            "/API/Hashes/{}",
            MALWARE.to_uppercase()
        )))
        .await;
    assert_eq!(answer.json()["hash"], MALWARE);
    let envelope = wrapped(&format!("/API/HASHES/{MALWARE}"));
    let completed = app.host.invoke("Hash_Lookup", &envelope).await.unwrap();
    assert_eq!(bind_http(completed.outputs.get("res")).unwrap().0, 200);
}

#[tokio::test]
async fn x15_a_caller_cannot_forge_a_log_line() {
    let app = App::start().await;
    for forged in [
        "a%0ALanguageWorkerConsoleLog%20x",
        "azfuncjsonlog%3A%0D%0A%7B%7D",
        "%1B%5B31m",
    ] {
        assert_eq!(app.get_hash(forged).await.status, 400);
    }
    app.host
        .invoke(
            "hash_lookup",
            &json!({ "Data": { "req": { "Url": "\nazfuncjsonlog:", "Method": "GET" } } }),
        )
        .await
        .unwrap_err();
    app.host.console_line(|line| line.level == "Error").await;
    for line in app.host.console() {
        let object: Value = serde_json::from_str(&line.text)
            .unwrap_or_else(|_| panic!("not one JSON object: {}", line.text));
        for name in ["level", "message", "code"] {
            assert!(object[name].is_string(), "{name} in {}", line.text);
        }
        let started = object["code"] == "serving";
        assert!(
            started || (object["function"].is_string() && object["invocationId"].is_string()),
            "{}",
            line.text
        );
    }
}
