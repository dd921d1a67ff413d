//! The main job: a hash in, a verdict with its reasons out.

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
