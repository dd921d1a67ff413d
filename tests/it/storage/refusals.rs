//! Storage that refuses, is busy, or cannot be changed.

use serde_json::{Value, json};

use super::{Stage, ask, get, post};
use crate::support::{SimulatedHost, azurite::Fate, host::ClientRequest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b05_a_role_that_takes_its_time_is_waited_for() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.azurite.refuse_reads(1, 403);
    assert!(
        stage
            .tick(&host)
            .await
            .unwrap()
            .ends_with("is written, complete")
    );
    let line = host
        .console_line(|line| line.text.contains("storage_forbidden"))
        .await;
    assert!(line.text.contains("trying again"), "{line:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b05_a_storage_that_refuses_or_is_missing_is_reported_with_what_to_do() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    stage.azurite.refuse_reads(1, 403);
    let (status, body) = get(&host).await;
    assert_eq!((status, &body["code"]), (502, &json!("storage_forbidden")));
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("Storage Blob Data Contributor"),
        "{body}"
    );
    assert!(
        !body.to_string().contains("made up"),
        "the service's words stay in the log"
    );
    stage.history = stage.history.replace("coverage-history", "not-there");
    let host = stage.host().await;
    let (status, body) = post(&host).await;
    assert_eq!(
        (status, &body["code"]),
        (502, &json!("storage_no_container"))
    );
    assert!(
        body["detail"].as_str().unwrap().contains("not-there"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_replaced_once_and_never_called_a_missing_role() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    stage.azurite.refuse_reads(1, 401);
    let (status, body) = get(&host).await;
    assert_eq!(status, 200, "{body}");
    stage.azurite.refuse_reads(usize::MAX, 401);
    let (status, body) = get(&host).await;
    assert_eq!(
        (status, &body["code"]),
        (502, &json!("upstream_unauthorized"))
    );
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("refused the token") && !detail.contains("role"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b06_a_busy_storage_is_asked_again() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.azurite.judge(|number, _| {
        if number % 3 == 0 {
            Fate::Refused(503)
        } else {
            Fate::Pass
        }
    });
    assert!(
        stage
            .tick(&host)
            .await
            .unwrap()
            .ends_with("is written, complete")
    );
    stage.newest().await.expect("a complete run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pointer_in_an_immutable_container_is_reported() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    stage.azurite.judge(|_, path| {
        if path.ends_with("latest/coverage.json") {
            Fate::Refused(409)
        } else {
            Fate::Pass
        }
    });
    let (status, body) = post(&host).await;
    assert_eq!((status, &body["code"]), (502, &json!("storage_unusable")));
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("REPORTS_LATEST_URL"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_sees_what_would_stop_a_report() {
    let stage = Stage::new().await;
    let host = stage.host().await;
    let health = deep(&host).await;
    assert_eq!(state(&health, "reports"), "ok", "{health:#}");
    assert_eq!(state(&health, "latest"), "ok", "{health:#}");
    // A container with an immutability policy does not accept a pointer.
    stage
        .azurite
        .judge(|_, path| match path.ends_with("pointer.json") {
            true => Fate::Refused(409),
            false => Fate::Pass,
        });
    let host = stage.host().await;
    let health = deep(&host).await;
    assert_eq!(state(&health, "latest"), "missing", "{health:#}");
    assert!(
        health
            .to_string()
            .contains("without an immutability policy in REPORTS_LATEST_URL"),
        "{health:#}"
    );
    // A container that is being deleted refuses with the status of an existing file.
    let mut stage = Stage::new().await;
    stage.azurite.judge(|_, _| Fate::Refused(409));
    stage.latest = stage.history.clone();
    let host = stage.host().await;
    let health = deep(&host).await;
    assert_eq!(state(&health, "reports"), "unreachable", "{health:#}");
    stage.azurite.judge(|_, _| Fate::Refused(403));
    let host = stage.host().await;
    let health = deep(&host).await;
    assert_eq!(state(&health, "reports"), "missing", "{health:#}");
    assert!(
        health.to_string().contains("containers/coverage-history"),
        "{health:#}"
    );
}

async fn deep(host: &SimulatedHost) -> Value {
    ask(host, ClientRequest::get("/api/health?deep=true"))
        .await
        .1
}

fn state<'a>(health: &'a Value, id: &str) -> &'a str {
    let mut checks = health["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["id"] == id);
    check.unwrap_or_else(|| panic!("{id} {health:#}"))["state"]
        .as_str()
        .unwrap()
}
