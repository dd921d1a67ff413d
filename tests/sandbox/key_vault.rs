//! Key Vault: secrets, behind its challenge.
//!
//! The first request comes without a token and learns where to get one.
//! Source: <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses>

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::{Request, State as Extract},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

use crate::{State, TENANT_ID, identity, lock};

const AUDIENCE: &str = "https://vault.azure.net";

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let mut state = lock(&state);
    let claims = identity::claims(&state, request.headers().get(header::AUTHORIZATION));
    let is_valid = claims.is_some_and(|claims| claims["aud"] == AUDIENCE);
    let is_refused = is_valid && state.secret_refusals > 0;
    state.secret_refusals -= usize::from(is_refused);
    if !is_valid || is_refused {
        let challenge = format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{TENANT_ID}\", resource=\"{AUDIENCE}\""
        );
        let mut response = body(401, &error("Unauthorized"));
        if let Ok(value) = challenge.parse() {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        return response;
    }
    let path = request.uri().path().trim_matches('/').to_owned();
    let name = path.strip_prefix("secrets/").unwrap_or_default();
    let has_version = request
        .uri()
        .query()
        .is_some_and(|query| query.starts_with("api-version="));
    if request.method() != Method::GET || !has_version {
        return body(400, &error("BadParameter"));
    }
    match state.secrets.get(name.trim_matches('/')) {
        Some(value) => body(
            200,
            &json!({ "value": value, "id": format!("https://contoso.vault.azure.net/secrets/{name}/1"), "attributes": { "enabled": true } }),
        ),
        None => body(404, &error("SecretNotFound")),
    }
}

fn error(code: &str) -> Value {
    json!({ "error": { "code": code, "message": "made up" } })
}

fn body(status: u16, value: &Value) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, value.to_string()).into_response()
}
