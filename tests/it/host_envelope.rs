//! Timers and queue messages by envelope, on functions that only tests have.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::http::Response;
use handler::{
    error::ApiError,
    host::{envelope::TimerInfo, reply::Reply},
    router::{FunctionNameError, Functions},
};
use serde_json::{Map, Value, json};

use crate::support::{
    app::MALWARE,
    stage::Stage,
    wire::{Completed, InvocationFailure, bind_output, queue_envelope},
};

fn timer_envelope(timer: Value) -> Value {
    json!({ "Data": { "timer": timer }, "Metadata": { "sys": { "MethodName": "probe" } } })
}

/// Runs a timer function once and returns what it was told.
async fn tick(timer: Value) -> TimerInfo {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let functions = Functions::new().envelope("probe", move |invocation| {
        let told = Arc::clone(&told);
        async move {
            *told.lock().unwrap() = Some(invocation.timer("timer")?);
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

/// Runs a queue function once; its message and the claimed dequeue count.
async fn dequeue(envelope: Value) -> (String, Option<u64>) {
    let functions = Functions::new().envelope("probe", |invocation| async move {
        let message = Map::from_iter([
            ("text".to_owned(), Value::from(invocation.message("job")?)),
            (
                "count".to_owned(),
                Value::from(invocation.claimed_dequeue_count()),
            ),
        ]);
        Ok(Reply::done().messages("echo", [message]))
    });
    let reply = Stage::start(functions)
        .await
        .post("probe", &envelope)
        .await
        .unwrap()
        .read()
        .unwrap();
    let echo = &reply.outputs["echo"][0];
    (
        echo["text"].as_str().unwrap().to_owned(),
        echo["count"].as_u64(),
    )
}

/// What an output binding makes of messages that hold a hash.
async fn messages_with_a_hash(binary: bool) -> Vec<Vec<u8>> {
    let functions = Functions::new().envelope("probe", |_| async {
        let message = Map::from_iter([("hash".to_owned(), Value::from(MALWARE))]);
        Ok(Reply::done().messages("jobs", [message.clone(), message]))
    });
    let reply = Stage::start(functions)
        .await
        .post("probe", &timer_envelope(json!({})))
        .await
        .unwrap()
        .read()
        .unwrap();
    bind_output(&reply.outputs["jobs"], binary)
}

#[tokio::test]
async fn h10_a_binary_output_takes_our_messages_as_they_are() {
    let message = json!({ "hash": MALWARE }).to_string().into_bytes();
    assert_eq!(messages_with_a_hash(true).await, [message.clone(), message]);
}

#[tokio::test]
async fn h11_a_text_output_takes_our_messages_as_they_are() {
    let message = json!({ "hash": MALWARE }).to_string().into_bytes();
    assert_eq!(
        messages_with_a_hash(false).await,
        [message.clone(), message]
    );
}

#[tokio::test]
async fn x08_a_hash_in_an_output_is_not_taken_for_base64() {
    assert_ne!(
        bind_output(&json!(MALWARE), false)[0],
        MALWARE.as_bytes(),
        "what a bare text becomes"
    );
    for message in messages_with_a_hash(false).await {
        assert!(String::from_utf8(message).unwrap().contains(MALWARE));
    }
}

#[tokio::test]
async fn h12_a_function_with_nothing_to_hand_over_succeeds() {
    let told = tick(json!({ "IsPastDue": false })).await;
    assert_eq!(
        told,
        TimerInfo {
            last: None,
            next: None,
            is_past_due: false
        }
    );
}

#[tokio::test]
async fn h09_lines_of_an_invocation_reach_the_host_escaped() {
    let functions = Functions::new().envelope("probe", |_| async {
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
    let functions = Functions::new().envelope("probe", move |_| {
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
async fn x09_forged_metadata_does_not_change_the_message() {
    let message = r#"{"DequeueCount":1,"Id":"forged","sys":{"MethodName":"other"},"hashes":["x"]}"#;
    let envelope = queue_envelope(message, 5);
    assert_ne!(
        envelope["Metadata"]["DequeueCount"], "5",
        "the host lets a message overwrite it"
    );
    assert_eq!(dequeue(envelope).await.0, message);
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
        let told = tick(json!({ "ScheduleStatus": { "Last": first, "Next": "2026-11-23T11:00:00+01:00", "LastUpdated": first } })).await;
        assert_eq!(told.last, None);
        assert_eq!(told.next.unwrap().unix_timestamp(), 1_795_428_000);
    }
    let told = tick(json!({ "ScheduleStatus": { "Last": "2026-11-23T10:00:00.0012345+00:00", "Next": "2026-11-23T11:00:00" } })).await;
    assert_eq!(
        told.last.unwrap().unix_timestamp(),
        told.next.unwrap().unix_timestamp() - 3_600
    );
}

#[tokio::test]
async fn x11_a_dequeue_count_is_a_number_or_a_text_and_a_message_is_unwrapped_once() {
    for text in [
        "plain text",
        r#"{"a":1,"b":{"c":2},"d":[1]}"#,
        r#""quoted""#,
        "4",
        "true",
        MALWARE,
    ] {
        assert_eq!(dequeue(queue_envelope(text, 3)).await.0, text);
    }
    let friendly = |count: Value| json!({ "Data": { "job": r#"{"a":1}"# }, "Metadata": { "DequeueCount": count } });
    for count in [json!(3), json!("3"), json!("\"3\"")] {
        assert_eq!(
            dequeue(friendly(count)).await,
            (r#"{"a":1}"#.to_owned(), Some(3))
        );
    }
    assert_eq!(dequeue(friendly(json!("many"))).await.1, None);
    let object = json!({ "Data": { "job": { "a": 1 } }, "Metadata": {} });
    assert_eq!(dequeue(object).await.0, r#"{"a":1}"#);
}

#[test]
fn x13_a_function_name_that_is_also_a_path_is_refused_at_start() {
    let nothing = |_| async { Ok(Response::default()) };
    let done = |_| async { Ok(Reply::done()) };
    let build = |functions: Functions| functions.build().map(|_| ()).unwrap_err();
    assert_eq!(
        build(Functions::new().http("lookup", "/lookup", None, nothing)),
        FunctionNameError::Collision("lookup", "/lookup")
    );
    assert_eq!(
        build(
            Functions::new()
                .envelope("api", done)
                .http("lookup", "/api/x", None, nothing)
        ),
        FunctionNameError::Collision("api", "/api/x")
    );
    assert_eq!(
        build(Functions::new().envelope("host", done)),
        FunctionNameError::Invalid("host")
    );
    assert_eq!(
        build(Functions::new().envelope("Report", done)),
        FunctionNameError::Invalid("Report")
    );
    assert_eq!(
        build(Functions::new().envelope("a", done).envelope("a", done)),
        FunctionNameError::Twice("a")
    );
}

#[tokio::test]
async fn b13_an_envelope_without_its_input_or_with_another_content_type_is_a_typed_failure() {
    let functions = || {
        Functions::new().envelope("probe", |invocation| async move {
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
    let functions = Functions::new()
        .envelope("panics", |_| async { panic!("on purpose") })
        .http("panics_too", "/api/panics", None, |_| async {
            panic!("on purpose")
        })
        .envelope("works", |_| async { Ok(Reply::done()) });
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
