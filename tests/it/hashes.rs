//! The main feature: a hash in, a verdict with its reasons out.

use serde_json::json;

use crate::support::{App, HttpMode, app::MALWARE, host::ClientRequest};

#[tokio::test]
async fn the_articles_own_hash_is_malicious_in_every_http_mode() {
    let app = App::start().await;
    let target = format!("/api/hashes/{MALWARE}");
    for mode in [HttpMode::Envelope, HttpMode::Forwarding, HttpMode::Proxying] {
        let (status, body) = app.host.http(mode, ClientRequest::get(&target)).await;
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (status, &body["verdict"]),
            (200, &json!("Malicious")),
            "{mode:?}"
        );
        assert_eq!(body["reasons"][0]["code"], "determination_malware");
    }
    assert_eq!(app.calls(), 1, "the second and third answer are remembered");
}

#[tokio::test]
async fn every_format_has_its_content_type_and_says_what_was_not_checked() {
    let app = App::start().await;
    let list = json!([MALWARE, "zz"]).to_string();
    for (format, content_type, contains) in [
        ("json", "application/json", "\"verdict\":\"Malicious\""),
        (
            "markdown",
            "text/markdown; charset=utf-8",
            "**1 of 2 files is malicious, 1 NOT checked.**",
        ),
        (
            "html",
            "text/html; charset=utf-8",
            "<p><b>1 of 2 files is malicious, 1 NOT checked.</b>",
        ),
        (
            "csv",
            "text/csv; charset=utf-8",
            ",Malicious,determination_malware,",
        ),
        ("stat", "application/json", "\"Score\":10"),
    ] {
        let target = format!("/api/hashes?format={format}");
        let answer = app.send(ClientRequest::post(&target, &list)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(content_type)),
            "{format}"
        );
        assert!(answer.text.contains(contains), "{format}: {}", answer.text);
        let single = app
            .send(ClientRequest::get(&format!(
                "/api/hashes/{MALWARE}?format={format}"
            )))
            .await;
        assert_eq!(
            (single.status, single.header("content-type")),
            (200, Some(content_type))
        );
    }
    let wrapped = app
        .host
        .http(
            HttpMode::Envelope,
            ClientRequest::post("/api/hashes?format=html", &list),
        )
        .await;
    assert!(
        wrapped.0 == 200 && wrapped.1.starts_with("<p><b>1 of 2"),
        "{wrapped:?}"
    );
}

#[tokio::test]
async fn a_verdict_comes_with_what_to_do_next() {
    let app = App::start().await;
    let answer = app.get_hash(MALWARE).await.json();
    let actions: Vec<_> = answer["nextActions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|next| next["action"].clone())
        .collect();
    assert_eq!(actions, ["create_indicator", "hunt", "open_file_page"]);
    let indicator = &answer["nextActions"][0]["request"];
    assert_eq!(
        (&indicator["indicatorValue"], &indicator["action"]),
        (&json!(MALWARE), &json!("Block"))
    );
    assert!(indicator["expirationTime"].as_str().unwrap() > answer["asOf"].as_str().unwrap());
    let page = format!("https://security.microsoft.com/file/{MALWARE}/overview");
    assert_eq!(answer["nextActions"][2]["portalUrl"], page);
    let invalid = app.post_hashes(&["zz"]).await.json();
    assert_eq!(invalid["results"][0]["nextActions"], json!([]));
}
