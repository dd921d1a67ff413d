//! Timers by envelope, with functions that only tests have.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::Response, routing::any};
use handler::server::{
    Access, ApiError, Functions, Gate, Reply, TimerInfo, app::FunctionNameError,
};
use serde_json::{Map, Value, json};

use crate::support::{
    stage::Stage,
    wire::{Completed, InvocationFailure},
};

fn timer_envelope(timer: Value) -> Value {
    json!({ "Data": { "timer": timer }, "Metadata": { "sys": { "MethodName": "probe" } } })
}

/// Runs a timer function once and returns the timer data it received.
async fn tick(timer: Value) -> TimerInfo {
    let seen = Arc::new(Mutex::new(None));
    let received = Arc::clone(&seen);
    let functions = Functions::new().timer("probe", move |invocation| {
        let received = Arc::clone(&received);
        async move {
            *received.lock().unwrap() = Some(invocation.timer("timer")?);
            Ok(Reply::done())
        }
    });
    let reply = Stage::start(functions)
        .await
        .post("probe", &timer_envelope(timer))
        .await
        .unwrap();
    assert_eq!(
        reply.read(),
        Ok(Completed {
            outputs: Map::new(),
            logs: vec![],
            return_value: Value::Null
        })
    );
    seen.lock().unwrap().expect("the function ran")
}

#[tokio::test]
async fn h12_a_function_with_nothing_to_hand_over_succeeds() {
    let timer = tick(json!({ "IsPastDue": false })).await;
    assert_eq!(
        timer,
        TimerInfo {
            last: None,
            next: None,
            is_past_due: false
        }
    );
}

#[tokio::test]
async fn h09_lines_of_an_invocation_reach_the_host_escaped() {
    let functions = Functions::new().timer("probe", |_| async {
        Ok(Reply::done().log("one").log("two\nforged"))
    });
    let reply = Stage::start(functions)
        .await
        .post("probe", &timer_envelope(json!({})))
        .await
        .unwrap();
    assert_eq!(reply.read().unwrap().logs, ["one", "two\\nforged"]);
}

#[tokio::test]
async fn h30_a_failed_invocation_is_tried_again_until_it_succeeds() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let functions = Functions::new().timer("probe", move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if number < 2 {
                Err(ApiError::internal("on purpose"))
            } else {
                Ok(Reply::done())
            }
        }
    });
    let stage = Stage::start(functions).await;
    let mut statuses = Vec::new();
    for retry in 0..=2 {
        let mut envelope = timer_envelope(json!({}));
        envelope["Metadata"]["RetryContext"] =
            json!({ "RetryCount": retry, "MaxRetryCount": 2, "Exception": null });
        statuses.push(stage.post("probe", &envelope).await.unwrap().status);
    }
    assert_eq!(statuses, [500, 500, 200]);
}

#[tokio::test]
async fn x10_a_timer_without_status_or_with_the_year_one_is_read() {
    let never = json!({ "ScheduleStatus": null, "IsPastDue": true });
    assert_eq!(
        tick(never).await,
        TimerInfo {
            last: None,
            next: None,
            is_past_due: true
        }
    );
    for first in ["0001-01-01T00:00:00", "0001-01-01T00:00:00+00:00"] {
        let timer = tick(json!({ "ScheduleStatus": { "Last": first, "Next": "2026-11-23T11:00:00+01:00", "LastUpdated": first } })).await;
        assert_eq!(timer.last, None);
        assert_eq!(timer.next.unwrap().unix_timestamp(), 1_795_428_000);
    }
    let timer = tick(json!({ "ScheduleStatus": { "Last": "2026-11-23T10:00:00.0012345+00:00", "Next": "2026-11-23T11:00:00" } })).await;
    assert_eq!(
        timer.last.unwrap().unix_timestamp(),
        timer.next.unwrap().unix_timestamp() - 3_600
    );
}

#[test]
fn x13_a_function_name_that_is_also_a_path_is_refused_at_start() {
    let lookup = |path| {
        let routes = Router::new().route(path, any(|| async { Response::<String>::default() }));
        (path, Access::Public, routes)
    };
    let http = |functions: Functions, path| {
        let (path, access, routes) = lookup(path);
        functions.http("lookup", path, access, routes)
    };
    let done = |_| async { Ok(Reply::done()) };
    let build = |functions: Functions| functions.build(Gate::Open).map(|_| ()).unwrap_err();
    assert_eq!(
        build(http(Functions::new(), "/lookup")),
        FunctionNameError::Collision("lookup", "/lookup")
    );
    assert_eq!(
        build(http(Functions::new().timer("api", done), "/api/x")),
        FunctionNameError::Collision("api", "/api/x")
    );
    assert_eq!(
        build(Functions::new().timer("host", done)),
        FunctionNameError::Invalid("host")
    );
    assert_eq!(
        build(Functions::new().timer("Report", done)),
        FunctionNameError::Invalid("Report")
    );
    assert_eq!(
        build(Functions::new().timer("a", done).timer("a", done)),
        FunctionNameError::Duplicate("a")
    );
}

#[tokio::test]
async fn b13_an_envelope_without_its_input_or_with_another_content_type_is_a_typed_failure() {
    let functions = || {
        Functions::new().timer("probe", |invocation| async move {
            invocation.timer("timer")?;
            Ok(Reply::done())
        })
    };
    let stage = Stage::start(functions()).await;
    for envelope in [
        json!({ "Data": {} }),
        json!({ "Data": null }),
        json!({ "Metadata": {} }),
        json!("text"),
    ] {
        let reply = stage.post("probe", &envelope).await.unwrap();
        assert_eq!(
            reply.read(),
            Err(InvocationFailure::HttpRequest("status 400".to_owned())),
            "{envelope}"
        );
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(
            problem["code"].as_str().unwrap().starts_with("envelope_"),
            "{problem}"
        );
    }
    let mut doubled = timer_envelope(json!({}));
    doubled["Metadata"]["x"] = json!("\"\\\"twice\\\"\"");
    assert_eq!(stage.post("probe", &doubled).await.unwrap().status, 200);
    assert_eq!(stage.get("probe").await.status(), 405);
}

#[tokio::test]
async fn b14_a_panic_costs_one_invocation() {
    let panic = || async { panic!("on purpose") as Response<String> };
    let panicking = Router::new().route("/api/panics", any(panic));
    let functions = Functions::new()
        .timer("panics", |_| async { panic!("on purpose") })
        .http("panics_too", "/api/panics", Access::Public, panicking)
        .timer("works", |_| async { Ok(Reply::done()) });
    let stage = Stage::start(functions).await;
    let reply = stage
        .post("panics", &timer_envelope(json!({})))
        .await
        .unwrap();
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &problem["code"]), (500, &json!("internal")));
    assert_eq!(problem["invocationId"], reply.invocation_id.as_str());
    let over_http = stage.get("api/panics").await;
    assert_eq!(over_http.status(), 500);
    assert!(!over_http.text().await.unwrap().contains("on purpose"));
    assert_eq!(
        stage
            .post("works", &timer_envelope(json!({})))
            .await
            .unwrap()
            .status,
        200
    );
}
