//! 429, server errors and the breaker.

use std::time::{Duration, Instant, SystemTime};

use sandbox::{Fault, Sandbox, Tenant};
use serde_json::json;

use super::{IMPATIENT, is_reported_as_failure, recovers};
use crate::support::{
    App,
    app::{CLEAN, MALWARE, PUA_SHA1, unknown_hash, within},
};

#[tokio::test]
async fn a01_retry_after_is_waited_for() {
    let app = App::start().await;
    app.cloud
        .add_fault(Fault::status(429).header("retry-after", "2").times(1));
    let answer = app.get_hash(MALWARE).await;
    assert_eq!(answer.json()["verdict"], "Malicious");
    let calls = app.cloud.defender_calls();
    assert_eq!(calls.len(), 2);
    assert!(
        calls[1].at - calls[0].at >= Duration::from_secs(2),
        "{:?}",
        calls[1].at - calls[0].at
    );
}

#[tokio::test]
async fn a01_a_wait_past_the_deadline_is_throttled_immediately() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "5")]).await;
    app.cloud
        .add_fault(Fault::status(429).header("retry-after", "7"));
    let asked = Instant::now();
    let answer = app.post_hashes(&[MALWARE]).await;
    is_reported_as_failure(&answer.json(), "throttled", "upstream_throttled");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((7..=9).contains(&wait), "{wait}");

    let single = app.get_hash(CLEAN).await;
    assert_eq!(single.problem(503), "upstream_throttled");
    assert!(single.header("retry-after").is_some());
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "no caller waits in vain"
    );
    assert_eq!(app.calls(), 1, "the second hash waits for the same pause");
}

#[tokio::test]
async fn a02_every_form_of_retry_after_is_understood() {
    let future = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    let calls = recovers(Fault::status(429).header("retry-after", &future)).await;
    assert!(calls[1].at - calls[0].at >= Duration::from_millis(1_500));
    for soon in ["Mon, 23 Nov 2020 10:00:00 GMT", "-5", "soon", "0"] {
        let calls = recovers(Fault::status(429).header("retry-after", soon)).await;
        let waited = calls[1].at - calls[0].at;
        assert!(
            waited >= Duration::from_millis(800) && waited < Duration::from_secs(4),
            "{soon}: {waited:?}"
        );
    }
    let app = App::start().await;
    app.cloud
        .add_fault(Fault::status(429).header("retry-after", "999999"));
    let answer = within(5, app.post_hashes(&[MALWARE])).await;
    is_reported_as_failure(&answer.json(), "throttled", "upstream_throttled");
}

#[tokio::test]
async fn a03_a_429_without_retry_after_is_tried_four_times_in_all() {
    let app = App::start().await;
    app.cloud.add_fault(Fault::status(429));
    let answer = within(30, app.post_hashes(&[MALWARE])).await;
    is_reported_as_failure(&answer.json(), "throttled", "upstream_throttled");
    let calls = app.cloud.defender_calls();
    let waits: Vec<_> = calls
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_millis())
        .collect();
    assert_eq!(waits.len(), 3);
    assert!(
        waits[0] >= 800 && waits[1] >= 1_600 && waits[2] >= 3_200,
        "{waits:?}"
    );
}

#[tokio::test]
async fn a04_server_errors_are_tried_again() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(recovers(Fault::status(status)).await.len(), 2, "{status}");
    }
}

#[tokio::test]
async fn a04_repeated_failure_opens_the_breaker_which_says_when_to_retry() {
    let app = App::start_with(&IMPATIENT).await;
    app.cloud.add_fault(Fault::status(503));
    for number in 0..5 {
        assert_eq!(
            app.get_hash(&unknown_hash(number)).await.problem(503),
            "upstream_unavailable"
        );
    }
    let calls = app.calls();
    let answer = app.get_hash(MALWARE).await;
    assert_eq!(answer.problem(503), "upstream_unavailable");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=15).contains(&wait));
    assert_eq!(app.calls(), calls, "no call while it is open");
    app.host
        .console_line(|line| line.level == "Warning" && line.text.contains("breaker_open"))
        .await;
}

#[tokio::test]
async fn a04_an_outage_is_reported_as_one_and_spends_no_quota_on_a_long_list() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "20")]).await;
    app.cloud.add_fault(Fault::status(503));
    let many: Vec<String> = (0..200).map(unknown_hash).collect();
    let answer = within(
        30,
        app.post_hashes(&many.iter().map(String::as_str).collect::<Vec<_>>()),
    )
    .await
    .json();
    let codes: std::collections::BTreeSet<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["error"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        ["upstream_unavailable"]
    );
    assert!(app.calls() <= 100, "{}", app.calls());
}

#[tokio::test]
async fn a04_a05_a_server_error_is_tried_four_times_in_all() {
    let app = App::start().await;
    app.cloud.add_fault(Fault::status(500).on(MALWARE));
    assert_eq!(
        within(30, app.get_hash(MALWARE)).await.problem(503),
        "upstream_unavailable"
    );
    assert_eq!(app.calls(), 4);
}

#[tokio::test]
async fn a10_the_last_429_of_a_call_makes_the_next_caller_wait_too() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "30")]).await;
    app.cloud.add_fault(Fault::status(429).times(3));
    app.cloud
        .add_fault(Fault::status(429).header("retry-after", "40").times(1));
    let answer = within(30, app.get_hash(MALWARE)).await;
    assert_eq!(answer.problem(503), "upstream_throttled");
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 40
    );
    assert_eq!(
        within(5, app.get_hash(CLEAN)).await.problem(503),
        "upstream_throttled"
    );
    assert_eq!(app.calls(), 4);
}

#[tokio::test]
async fn a19_redirects_are_not_followed() {
    let other = Sandbox::start(Tenant::default()).await.unwrap();
    let target = format!("{}/api/files/{MALWARE}", other.defender_url());
    let app = App::start().await;
    app.cloud
        .add_fault(Fault::status(302).header("location", &target));
    assert_eq!(
        app.get_hash(MALWARE).await.problem(502),
        "upstream_rejected"
    );
    assert_eq!((app.calls(), other.defender_calls().len()), (1, 0));
}

#[tokio::test]
async fn a_slow_sha256_does_not_take_the_time_of_the_sha1s() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "4")]).await;
    app.cloud
        .add_fault(Fault::json("{}").on(CLEAN).delay(Duration::from_secs(60)));
    let answer = app.post_hashes(&[PUA_SHA1, CLEAN, MALWARE]).await;
    let body = answer.json();
    let statuses: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].clone())
        .collect();
    assert_eq!(
        statuses,
        ["ok", "throttled", "ok"],
        "the deadline cuts one of three"
    );
    assert_eq!(
        (&body["complete"], &body["results"][1]["error"]["code"]),
        (&json!(false), &json!("deadline_exceeded"))
    );
    assert!(answer.status == 200 && answer.header("retry-after").is_some());
}
