//! Replies to envelopes.

use serde_json::{Value, json};

use super::{many_envelopes, wrapped};
use crate::support::{
    App,
    app::{CLEAN, MALWARE},
    wire::{self, InvocationFailure, bind_http},
};

/// The reply to every envelope that a caller could send.
async fn every_reply() -> Vec<crate::support::host::RawReply> {
    let app = App::start().await;
    let mut replies = Vec::new();
    for envelope in many_envelopes() {
        replies.push(
            app.host
                .post_envelope("hash_lookup", &envelope)
                .await
                .unwrap(),
        );
    }
    replies
}

#[tokio::test]
async fn h13_every_successful_reply_is_a_json_object() {
    let successful: Vec<_> = every_reply()
        .await
        .into_iter()
        .filter(|reply| reply.status == 200)
        .collect();
    assert_eq!(successful.len(), 7);
    for reply in successful {
        assert!(
            serde_json::from_slice::<Value>(&reply.body)
                .unwrap()
                .is_object()
        );
    }
}

#[tokio::test]
async fn h14_every_successful_reply_says_that_it_is_json() {
    for reply in every_reply()
        .await
        .into_iter()
        .filter(|reply| reply.status == 200)
    {
        assert_eq!(reply.content_type.as_deref(), Some("application/json"));
    }
}

#[tokio::test]
async fn x02_no_reply_is_empty_or_a_204() {
    for reply in every_reply().await {
        assert!(reply.status != 204 && !reply.body.is_empty(), "{reply:?}");
        assert_ne!(reply.read(), Err(InvocationFailure::Hangs));
    }
}

#[tokio::test]
async fn x03_no_reply_is_null() {
    for reply in every_reply().await {
        assert_ne!(
            serde_json::from_slice::<Value>(&reply.body).unwrap(),
            Value::Null
        );
    }
}

#[tokio::test]
async fn h15_a_refused_envelope_fails_the_invocation_and_the_log_says_why() {
    let app = App::start().await;
    let failure = app
        .host
        .invoke("hash_lookup", &json!({ "Metadata": {} }))
        .await;
    assert_eq!(
        failure,
        Err(InvocationFailure::HttpRequest("status 400".to_owned()))
    );
    let line = app.host.console_line(|line| line.level == "Error").await;
    assert!(
        line.text.contains("envelope_invalid") && line.text.contains("hash_lookup"),
        "{}",
        line.text
    );
}

#[tokio::test]
async fn b13_another_content_type_or_function_is_refused_and_the_log_says_why() {
    let app = App::start().await;
    let text = app
        .client()
        .post(app.host.url("hash_lookup"))
        .header("Content-Type", "text/plain")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(text.status(), 400);
    app.host
        .console_line(|line| line.level == "Error" && line.text.contains("envelope_content_type"))
        .await;
    let unknown = app
        .host
        .post_envelope("no_such_function", &wrapped("/api/hashes"))
        .await
        .unwrap();
    assert_eq!(
        unknown.read(),
        Err(InvocationFailure::HttpRequest("status 404".to_owned()))
    );
    app.host
        .console_line(|line| {
            line.level == "Error" && line.text.contains("envelope_unknown_function")
        })
        .await;
}

#[tokio::test]
async fn a_wrapped_binary_body_is_decoded() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let app = App::start().await;
    let body = STANDARD.encode(json!([MALWARE]).to_string());
    let envelope = wire::http_envelope(
        "POST",
        "/api/hashes",
        &[("Content-Type", "application/octet-stream")],
        Some(&body),
    );
    let completed = app.host.invoke("hash_lookup", &envelope).await.unwrap();
    assert!(
        bind_http(completed.outputs.get("res"))
            .unwrap()
            .1
            .contains("\"malicious\":1")
    );
}

#[tokio::test]
async fn h16_no_log_line_of_the_host_comes_from_an_ordinary_invocation() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped(&format!("/api/hashes/{CLEAN}")))
        .await
        .unwrap();
    assert_eq!(completed.logs, Vec::<String>::new());
    assert_eq!(app.host.complaints(), []);
}

#[tokio::test]
async fn h17_the_http_output_has_a_status_code_single_headers_and_a_text() {
    let app = App::start().await;
    for envelope in many_envelopes().iter().take(7) {
        let completed = app.host.invoke("hash_lookup", envelope).await.unwrap();
        let output = &completed.outputs["res"];
        assert!(
            output.get("status").is_none()
                && output["statusCode"].is_string()
                && output["body"].is_string()
        );
        assert!(
            output["headers"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string),
            "{output}"
        );
        bind_http(Some(output)).unwrap();
    }
}
