//! Failures of Defender (rows A of the fault matrix).
//!
//! Every failure is reported as one, nothing is lost, and nothing is called Clean or
//! Unknown because something was down.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use handler::outbound::http::{FetchError, HttpClient, TimeLimits};
use sandbox::{Body, Fault, FileRecord, Sandbox, Tenant};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{CLEAN, MALWARE, PUA, PUA_SHA1, unknown_hash, within},
    host::ClosedPort,
    stage, tls,
};

/// Settings under which a failing call is abandoned after one second.
const IMPATIENT: [(&str, &str); 1] = [("LOOKUP_DEADLINE_SECONDS", "1")];

/// Checks that a list with one failing hash says so and calls nothing Clean.
#[track_caller]
fn is_reported_as_failure(answer: &Value, status: &str, code: &str) {
    let item = &answer["results"][0];
    assert_eq!(
        (&item["status"], &item["error"]["code"]),
        (&json!(status), &json!(code)),
        "{answer}"
    );
    assert_eq!(
        (&item["verdict"], &item["found"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&answer["complete"], &answer["summary"]["failed"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(answer["summary"]["worst"], Value::Null);
}

/// Looks up one hash while every call to Defender fails in this way.
async fn fails(fault: Fault, status: &str, code: &str) -> App {
    let app = App::start_with(&IMPATIENT).await;
    app.cloud.add_fault(fault);
    let answer = within(20, app.post_hashes(&[MALWARE])).await;
    assert_eq!(answer.status, 200);
    is_reported_as_failure(&answer.json(), status, code);
    app
}

/// Looks up one hash while Defender recovers after one failure.
async fn recovers(fault: Fault) -> Vec<sandbox::Call> {
    let app = App::start().await;
    app.cloud.add_fault(fault.times(1));
    let answer = within(20, app.get_hash(MALWARE)).await;
    assert_eq!(answer.json()["verdict"], "Malicious", "{answer:?}");
    app.cloud.defender_calls()
}

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
    assert_eq!(app.calls(), 4, "the next hash would meet the same");
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
        app.calls() <= 32,
        "no retry, and the rest is not asked: {}",
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

#[tokio::test]
async fn a10_a_truncated_answer_is_tried_again_and_never_half_read() {
    let half = r#"{"sha256":"97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe","determinationType":"Clean""#;
    assert_eq!(recovers(Fault::json(half)).await.len(), 2);
    let broken_off = Fault::json("").body(Body::TruncatedAfter(half.to_owned()));
    assert_eq!(recovers(broken_off.clone()).await.len(), 2);
    fails(broken_off, "failed", "upstream_unavailable").await;
    fails(Fault::json(half), "failed", "upstream_protocol").await;
}

#[tokio::test]
async fn a11_a_page_of_a_proxy_is_refused_after_one_more_try() {
    let page = Fault::json("<html>sign in</html>").header("content-type", "text/html");
    let app = App::start().await;
    app.cloud.add_fault(page);
    let answer = within(10, app.post_hashes(&[MALWARE])).await;
    is_reported_as_failure(&answer.json(), "failed", "upstream_protocol");
    assert_eq!(app.calls(), 2);
    assert!(!answer.text.contains("sign in"));
}

#[tokio::test]
async fn a12_an_answer_without_a_file_is_a_failure() {
    for empty in [
        "",
        "null",
        "{}",
        "[]",
        "7",
        r#"{"determinationType":"Clean"}"#,
    ] {
        fails(Fault::json(empty), "failed", "upstream_protocol").await;
    }
}

/// The verdict on a file whose response from Defender has these JSON fields.
async fn verdict_on(app: &App, fields: &str) -> Value {
    let number = app.calls();
    let hash = unknown_hash(1_000 + number);
    app.cloud
        .add_fault(Fault::json(&format!(r#"{{"sha256":"{hash}"{fields}}}"#)).times(1));
    app.get_hash(&hash).await.json()
}

#[tokio::test]
async fn a13_unknown_values_are_kept_and_never_clean() {
    let app = App::start().await;
    let foo = verdict_on(&app, r#","determinationType":"Foo""#).await;
    assert_eq!(
        (&foo["verdict"], &foo["reasons"][0]["code"]),
        (&json!("Unknown"), &json!("unrecognised_determination"))
    );
    assert_eq!(foo["file"]["determinationType"], "Foo");
    let number = verdict_on(&app, r#","determinationType":7,"globalPrevalence":"12""#).await;
    assert_eq!(
        (&number["verdict"], &number["file"]["globalPrevalence"]),
        (&json!("Unknown"), &json!(12))
    );
    assert_eq!(
        verdict_on(&app, "").await["reasons"][0]["code"],
        "no_determination"
    );
}

#[tokio::test]
async fn a14_odd_json_is_tolerated_and_ambiguous_json_refused() {
    for ambiguous in [
        r#""size":NaN"#,
        r#""size":1e400"#,
        r#""determinationType":"Malware""#,
    ] {
        let answer = format!(r#"{{"sha256":"{MALWARE}","determinationType":"Clean",{ambiguous}}}"#);
        fails(Fault::json(&answer), "failed", "upstream_protocol").await;
    }
    let app = App::start().await;
    let odd = r#","signer":null,"new":{"a":[1]},"size":1e300,"globalFirstObserved":"0001-01-01T00:00:00","determinationType":"Malware""#;
    let answer = verdict_on(&app, odd).await;
    assert_eq!(answer["verdict"], "Malicious");
    assert_eq!(
        (
            &answer["file"]["size"],
            &answer["file"]["globalFirstObserved"]
        ),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a15_an_answer_about_another_file_is_refused_and_not_remembered() {
    let other = format!(r#"{{"sha1":"{PUA_SHA1}","sha256":"{PUA}","determinationType":"Clean"}}"#);
    let app = fails(Fault::json(&other).times(1), "failed", "upstream_protocol").await;
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    assert_eq!(app.get_hash(PUA).await.json()["verdict"], "Suspicious");
}

#[tokio::test]
async fn a16_an_endless_answer_is_cut_and_memory_stays_bounded() {
    let app = fails(
        Fault::json("").body(Body::Endless),
        "failed",
        "upstream_too_large",
    )
    .await;
    assert_eq!(app.calls(), 1);
    assert!(
        app.host.peak_memory() < 64,
        "{} MiB",
        app.host.peak_memory()
    );
}

#[tokio::test]
async fn a17_slow_headers_and_a_dribbling_body_end_with_the_deadline() {
    let asked = Instant::now();
    fails(
        Fault::json("{}").delay(Duration::from_secs(60)),
        "throttled",
        "deadline_exceeded",
    )
    .await;
    fails(
        Fault::json("").body(Body::Dribble),
        "throttled",
        "deadline_exceeded",
    )
    .await;
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a17_every_phase_has_a_limit_of_its_own() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let short = Duration::from_millis(300);
    let long = Duration::from_secs(60);
    let base = TimeLimits {
        connect: long,
        first_byte: long,
        idle: long,
        total: long,
    };
    let limits = [
        (
            "first byte",
            TimeLimits {
                first_byte: short,
                ..base
            },
            Fault::json("{}").delay(long),
        ),
        (
            "idle",
            TimeLimits {
                idle: short,
                ..base
            },
            Fault::json("").body(Body::Dribble),
        ),
        (
            "total",
            TimeLimits {
                total: short,
                ..base
            },
            Fault::json("").body(Body::Dribble),
        ),
    ];
    for (phase, limits, fault) in limits {
        cloud.clear_faults();
        cloud.add_fault(fault);
        let request =
            reqwest::Request::new(reqwest::Method::GET, cloud.defender_url().parse().unwrap());
        let deadline = tokio::time::Instant::now() + long;
        let fetched = within(10, HttpClient::new(limits).fetch(request, 1_000, deadline)).await;
        assert_eq!(
            fetched.map(|answer| answer.status).unwrap_err(),
            FetchError::Timeout(phase)
        );
    }
}

#[tokio::test]
async fn a17_a_peer_that_never_answers_the_tls_greeting_is_given_up() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let long = Duration::from_secs(60);
    let limits = TimeLimits {
        connect: Duration::from_millis(300),
        first_byte: long,
        idle: long,
        total: long,
    };
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
    let fetched = within(
        10,
        HttpClient::new(limits).fetch(request, 1_000, tokio::time::Instant::now() + long),
    )
    .await;
    assert_eq!(
        fetched.map(|answer| answer.status).unwrap_err(),
        FetchError::Timeout("connect")
    );
}

#[tokio::test]
async fn a18_a_gzip_bomb_is_cut_where_it_unpacks() {
    let app = fails(
        Fault::json("").body(Body::gzip_bomb(200 << 20)),
        "failed",
        "upstream_too_large",
    )
    .await;
    assert!(
        app.host.peak_memory() < 64,
        "{} MiB",
        app.host.peak_memory()
    );
}

#[tokio::test]
async fn a21_refused_connections_and_unknown_names_are_an_outage() {
    let closed = ClosedPort::new();
    let refused = format!("http://127.0.0.1:{}", closed.number());
    for url in [refused.as_str(), "https://defender.invalid"] {
        let app =
            App::start_with(&[("DEFENDER_API_URL", url), ("LOOKUP_DEADLINE_SECONDS", "20")]).await;
        let answer = within(30, app.post_hashes(&[MALWARE])).await.json();
        is_reported_as_failure(&answer, "failed", "upstream_unavailable");
        assert!(
            !answer.to_string().contains(url),
            "no internal address in an answer"
        );
        assert!(
            answer["results"][0]["error"]["retryAfterSeconds"]
                .as_u64()
                .is_some_and(|wait| wait > 0)
        );
        let many: Vec<String> = (0..20).map(unknown_hash).collect();
        within(
            30,
            app.post_hashes(&many.iter().map(String::as_str).collect::<Vec<_>>()),
        )
        .await;
        app.host
            .console_line(|line| line.level == "Warning" && line.text.contains("breaker_open"))
            .await;
    }
}

#[tokio::test]
async fn a16_a_small_answer_cannot_make_a_large_one_of_ours() {
    let app = App::start().await;
    let long = "x".repeat(200_000);
    app.cloud.add_fault(Fault::json(&format!(
        r#"{{"sha256":"{MALWARE}","signer":"{long}","issuer":"{long}"}}"#
    )));
    let answer = app.post_hashes(&[MALWARE; 500]).await;
    assert!(answer.text.len() < 2 << 20, "{}", answer.text.len());
    assert_eq!(answer.json()["summary"]["total"], 500);
}

#[tokio::test]
async fn a22_a_token_is_never_sent_to_a_proxy() {
    let proxy = Sandbox::start(Tenant::default()).await.unwrap();
    let app = App::start_with(&[
        ("HTTP_PROXY", &proxy.defender_url()),
        ("http_proxy", &proxy.defender_url()),
    ])
    .await;
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    assert_eq!(proxy.defender_calls().len(), 0);
}

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

/// The verdict on [`MALWARE`] over TLS, with a certificate of this kind.
async fn over_tls(certificate: tls::Certificate) -> (Value, App) {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let behind = cloud
        .defender_url()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let server = tls::start(certificate, behind).await;
    let url = format!("https://localhost:{}", server.port);
    let trusted = server.trusted.display().to_string();
    let app = App::start_on(
        cloud,
        &[("DEFENDER_API_URL", &url), ("SSL_CERT_FILE", &trusted)],
    )
    .await;
    let answer = within(20, app.post_hashes(&[MALWARE])).await.json();
    (answer, app)
}

#[tokio::test]
async fn a20_a_certificate_that_is_not_valid_is_final() {
    for certificate in [tls::Certificate::WrongHost, tls::Certificate::Expired] {
        let (answer, app) = over_tls(certificate).await;
        is_reported_as_failure(&answer, "failed", "upstream_tls");
        assert!(
            answer["results"][0]["error"]["detail"]
                .as_str()
                .unwrap()
                .contains("DEFENDER_API_URL")
        );
        assert_eq!(app.calls(), 0, "nothing is sent, and nothing without TLS");
    }
    let (answer, _) = over_tls(tls::Certificate::Good).await;
    assert_eq!(answer["summary"]["malicious"], 1, "{answer}");
}

#[tokio::test]
async fn a20_plain_text_where_tls_is_expected_is_not_an_answer() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let url = cloud
        .defender_url()
        .replace("http://127.0.0.1", "https://localhost");
    let app = App::start_on(cloud, &[("DEFENDER_API_URL", &url)]).await;
    let answer = within(20, app.post_hashes(&[MALWARE])).await.json();
    is_reported_as_failure(&answer, "failed", "upstream_tls");
    assert_eq!(app.calls(), 0);
}
