//! A Workflows webhook that accepts an Adaptive Card of at most 28 KB.
//! Source: <https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams>

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State as Extract,
    http::{Method, StatusCode},
};
use serde_json::Value;

use crate::{State, lock};

const MAX_BYTES: usize = 28 << 10;

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(take).with_state(state)
}

async fn take(
    Extract(state): Extract<Arc<Mutex<State>>>,
    method: Method,
    body: Bytes,
) -> StatusCode {
    let (status, hangs) = {
        let mut state = lock(&state);
        state.webhook_calls += 1;
        (judge(&mut state, &method, &body), state.webhook_hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    status
}

fn judge(state: &mut State, method: &Method, body: &Bytes) -> StatusCode {
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let card = &message["attachments"][0];
    let is_card = card["contentType"] == "application/vnd.microsoft.card.adaptive";
    if *method != Method::POST || !is_card || body.len() > MAX_BYTES {
        return StatusCode::BAD_REQUEST;
    }
    let status = StatusCode::from_u16(state.webhook_status).unwrap_or_default();
    if status.is_success() {
        state.posted.push(message);
    }
    status
}
