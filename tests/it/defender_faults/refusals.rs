//! Refused tokens and roles, files that were never seen, bad requests.

use sandbox::{Body, Fault};
use serde_json::{Value, json};

use super::fails;
use crate::support::{
    App,
    app::{CLEAN, MALWARE, unknown_hash},
    host::ClientRequest,
};

#[tokio::test]
async fn a05_an_html_error_page_is_not_echoed() {
    let page = Fault::status(500)
        .header("content-type", "text/html")
        .body(Body::Text("<h1>stack trace</h1>".into()));
    let app = fails(page, "failed", "upstream_unavailable").await;
    let answer = app.get_hash(CLEAN).await;
    assert!(!answer.text.contains("stack trace"), "{answer:?}");
    assert!(
        app.host
            .console()
            .iter()
            .all(|line| !line.text.contains("stack trace"))
    );
}

#[tokio::test]
async fn a06_a_401_forces_one_new_token_and_a_second_one_is_final() {
    let app = App::start().await;
    app.cloud.add_fault(Fault::status(401).times(1));
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    assert_eq!(
        (app.calls(), app.cloud.identity_calls().len()),
        (2, 2),
        "one new token"
    );

    app.cloud.add_fault(Fault::status(401));
    let answer = app.get_hash(CLEAN).await;
    assert_eq!(answer.problem(502), "upstream_unauthorized");
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("DEFENDER_API_AUDIENCE"),
        "{answer:?}"
    );
    assert_eq!(app.calls(), 4);
    app.get_hash(&unknown_hash(1)).await.problem(502);
    assert_eq!(app.calls(), 6, "one refused hash says nothing about others");
    app.get_hash(&unknown_hash(2)).await.problem(502);
    assert_eq!(app.calls(), 6, "the next hash would meet the same");
}

#[tokio::test]
async fn a07_a_missing_role_is_named_with_how_to_grant_it_and_leaves_one_line() {
    let app = App::start().await;
    app.cloud.set_roles(&["Machine.Read.All"]);
    let many: Vec<String> = (0..200).map(unknown_hash).collect();
    let answer = app
        .post_hashes(&many.iter().map(String::as_str).collect::<Vec<_>>())
        .await
        .json();
    assert_eq!(
        (&answer["summary"]["failed"], &answer["summary"]["unknown"]),
        (&json!(200), &json!(0))
    );
    let error = &answer["results"][7]["error"];
    assert_eq!(error["code"], "missing_permission");
    let detail = error["detail"].as_str().unwrap();
    assert!(
        detail.contains("`File.Read.All`")
            && detail.contains("docs/permissions.md")
            && detail.contains("24 hours"),
        "{detail}"
    );
    assert!(
        detail.contains("issued 20") && detail.contains("expires 20"),
        "{detail}"
    );
    assert!(
        detail.contains("43f4cb08-8fac-4b65-9db1-745c2ae65f3a"),
        "{detail}"
    );
    assert!(
        app.calls() <= 34,
        "the calls in progress, and one or two before the second refusal: no retry, and the rest is not asked: {}",
        app.calls()
    );
    let line = app.host.console_line(|line| line.level == "Error").await;
    assert!(
        line.text.contains("missing_permission") && line.text.contains("digest"),
        "{}",
        line.text
    );
    assert_eq!(
        app.host.complaints().len(),
        1,
        "{:#?}",
        app.host.complaints()
    );
    assert_eq!(
        app.get_hash(MALWARE).await.problem(502),
        "missing_permission"
    );
}

#[tokio::test]
async fn a07_a_wrong_audience_is_distinguished_from_a_missing_role() {
    let app = App::start_with(&[(
        "DEFENDER_API_AUDIENCE",
        "https://api.security.microsoft.com",
    )])
    .await;
    let answer = app.get_hash(MALWARE).await;
    assert_eq!(answer.problem(502), "missing_permission");
    assert!(
        answer.text.contains("although the token holds"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a08_a_file_that_was_never_seen_is_unknown_and_remembered_briefly() {
    let app = App::start().await;
    let hash = unknown_hash(1);
    let first = app.get_hash(&hash).await.json();
    assert_eq!(
        (&first["verdict"], &first["found"], &first["cached"]),
        (&json!("Unknown"), &json!(false), &json!(false))
    );
    assert_eq!(first["reasons"][0]["code"], "not_seen");
    assert_eq!(app.get_hash(&hash).await.json()["cached"], true);
    assert_eq!(app.calls(), 1);
    app.cloud
        .add_fault(Fault::status(404).body(Body::Text(String::new())).times(1));
    assert_eq!(
        app.get_hash(&unknown_hash(2)).await.json()["reasons"][0]["code"],
        "not_seen"
    );
}

#[tokio::test]
async fn a08_a_404_of_another_service_is_a_failure() {
    let page = Fault::status(404)
        .header("content-type", "text/html")
        .body(Body::Text("<h1>Not here</h1>".into()));
    fails(page, "failed", "upstream_rejected").await;
    let other = Fault::status(404).body(Body::Text(r#"{"error":{"code":"Gone"}}"#.into()));
    fails(other, "failed", "upstream_rejected").await;
}

#[tokio::test]
async fn a09_a_400_is_not_tried_again_and_carries_the_correlation_id() {
    let app = App::start().await;
    app.cloud.add_fault(Fault::status(400));
    let answer = app.get_hash(MALWARE).await;
    assert_eq!(answer.problem(502), "upstream_rejected");
    assert!(answer.text.contains("43f4cb08-8fac-4b65-9db1-745c2ae65f3a"));
    assert_eq!(app.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s05_one_hash_that_is_always_refused_costs_no_other_its_answer() {
    for status in [403, 401] {
        let app = App::start().await;
        let bad = unknown_hash(0);
        app.cloud.add_fault(Fault::status(status).on(&bad));
        let hashes: Vec<String> = (0..90).map(unknown_hash).collect();
        let list = json!(hashes).to_string();
        let answer = app
            .send(ClientRequest::post("/api/hashes", &list))
            .await
            .json();
        let failed: Vec<&Value> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|result| result["verdict"].is_null())
            .collect();
        assert_eq!(failed.len(), 1, "{status}: {failed:#?}");
        assert_eq!(failed[0]["hash"], bad);
    }
}
