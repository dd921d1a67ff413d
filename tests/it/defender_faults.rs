//! Failures of Defender (rows A of the fault matrix).
//!
//! Every failure is reported as one, nothing is lost, and nothing is called Clean or
//! Unknown because something was down.

mod connections;
mod many_callers;
mod odd_answers;
mod refusals;
mod throttling;

use sandbox::Fault;
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{MALWARE, within},
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
