//! Many callers, long lists, and answers from memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox::{Fault, FileRecord, Sandbox, Tenant};
use serde_json::{Value, json};

use super::IMPATIENT;
use crate::support::{
    App,
    app::{CLEAN, MALWARE, PUA, PUA_SHA1, unknown_hash, within},
    stage,
};

#[tokio::test]
async fn a25_callers_of_one_throttled_hash_share_its_one_failure() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "4")]).await;
    app.cloud.add_fault(Fault::status(429));
    let asked = Instant::now();
    let answers = within(
        20,
        futures::future::join_all((0..20).map(|_| app.get_hash(MALWARE))),
    )
    .await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.problem(503) == "upstream_throttled")
    );
    assert!(
        app.calls() <= 4 && asked.elapsed() < Duration::from_secs(6),
        "{} in {:?}",
        app.calls(),
        asked.elapsed()
    );
}

#[tokio::test]
async fn a25_a_thousand_questions_about_one_hash_cost_one_call() {
    let app = Arc::new(App::start().await);
    app.cloud.set_latency(Duration::from_millis(300));
    let ids: Vec<String> = (0..200).map(|_| MALWARE.to_owned()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let five: Vec<_> = (0..5)
        .map(|_| {
            let app = Arc::clone(&app);
            let list = json!(ids).to_string();
            tokio::spawn(async move { app.post(&list).await.json() })
        })
        .collect();
    for answer in five {
        assert_eq!(answer.await.unwrap()["summary"]["malicious"], 200);
    }
    assert_eq!(app.calls(), 1);
    assert_eq!(app.cloud.identity_calls().len(), 1);
}

#[tokio::test]
async fn a25_a_thousand_concurrent_callers_share_one_call() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    cloud.set_latency(Duration::from_millis(200));
    let services = stage::services(&cloud);
    let hash = MALWARE.parse().unwrap();
    let callers = (0..1_000).map(|_| services.hashes.look_up(hash, services.hashes.deadline()));
    let results = futures::future::join_all(callers).await;
    assert!(results.iter().all(|result| result.found == Some(true)));
    assert_eq!(cloud.defender_calls().len(), 1);
    assert_eq!(cloud.identity_calls().len(), 1);
}

#[tokio::test]
async fn api_f12_a_list_beyond_the_limit_never_meets_a_429() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "3")]).await;
    let many: Vec<String> = (0..130).map(unknown_hash).collect();
    let answer = app
        .post_hashes(&many.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let body = answer.json();
    assert_eq!(
        (&body["summary"]["unknown"], &body["summary"]["failed"]),
        (&json!(100), &json!(30))
    );
    assert_eq!(body["summary"]["worst"], Value::Null);
    let throttled: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["status"] == "throttled")
        .collect();
    assert!(
        throttled.len() == 30 && throttled[0]["error"]["retryAfterSeconds"].as_u64().unwrap() > 50
    );
    assert!(answer.header("retry-after").is_some());
    assert!(
        app.cloud
            .defender_calls()
            .iter()
            .all(|call| call.status != 429)
    );
}

#[tokio::test]
async fn stale_answers_are_served_and_flagged_while_defender_is_down() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let services = stage::services(&cloud);
    let hash = MALWARE.parse().unwrap();
    let now = || tokio::time::Instant::now() + Duration::from_secs(1);
    let fresh = services.hashes.look_up(hash, now()).await;
    assert_eq!((fresh.cached, fresh.stale), (false, false));

    stage::time_passes(Duration::from_secs(7 * 3_600)).await;
    cloud.add_fault(Fault::status(503));
    let stale = services.hashes.look_up(hash, now()).await;
    assert_eq!(
        (stale.verdict, stale.cached, stale.stale),
        (fresh.verdict, true, true)
    );
    assert_eq!(stale.as_of, fresh.as_of);

    cloud.clear_faults();
    cloud.add_fault(Fault::json("{}").delay(Duration::from_secs(60)));
    stage::time_passes(Duration::from_secs(60)).await;
    let hanging = services.hashes.look_up(hash, now()).await;
    assert_eq!(
        (hanging.verdict, hanging.stale),
        (fresh.verdict, true),
        "a Defender that hangs is down"
    );

    cloud.clear_faults();
    cloud.add_fault(Fault::status(403));
    stage::time_passes(Duration::from_secs(60)).await;
    let forbidden = services.hashes.look_up(hash, now()).await;
    assert_eq!(
        forbidden.verdict, None,
        "a missing permission is not an outage"
    );
}

#[tokio::test]
async fn a_file_that_was_never_seen_is_not_reported_as_unknown_while_defender_is_down() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let services = stage::services(&cloud);
    let hash = unknown_hash(1).parse().unwrap();
    let soon = || tokio::time::Instant::now() + Duration::from_secs(1);
    assert_eq!(
        services.hashes.look_up(hash, soon()).await.found,
        Some(false)
    );
    stage::time_passes(Duration::from_secs(600)).await;
    cloud.add_fault(Fault::status(503));
    assert_eq!(services.hashes.look_up(hash, soon()).await.verdict, None);
}

#[tokio::test]
async fn a_failed_hash_does_not_touch_the_others() {
    let app = App::start_with(&IMPATIENT).await;
    app.cloud.add_fault(Fault::status(500).on(CLEAN));
    let answer = app.post_hashes(&[PUA, CLEAN, MALWARE]).await.json();
    let statuses: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].clone())
        .collect();
    assert_eq!(statuses, ["ok", "failed", "ok"]);
    assert_eq!(
        answer["summary"]["worst"], "Malicious",
        "what was found counts although something is missing"
    );
}

#[tokio::test]
async fn two_hashes_of_one_file_cost_one_call() {
    let app = App::start().await;
    app.cloud
        .add_file(FileRecord::new(&unknown_hash(5), "Clean", None));
    let answer = app
        .post_hashes(&[PUA_SHA1, PUA, &PUA.to_uppercase(), PUA_SHA1])
        .await
        .json();
    assert_eq!(answer["summary"]["suspicious"], 4);
    assert_eq!(app.calls(), 1);
    assert_eq!(app.get_hash(PUA_SHA1).await.json()["cached"], true);
}
