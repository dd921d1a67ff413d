//! The managed-identity endpoint of App Service.
//!
//! Source: <https://learn.microsoft.com/azure/app-service/overview-managed-identity>

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State as Extract},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
    routing::any,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{Call, IDENTITY_HEADER, State, lock};

/// The behavior of the identity endpoint.
#[derive(Clone, Debug)]
pub struct IdentityBehavior {
    /// Status of every answer; 200 gives a token.
    pub status: u16,
    /// Time before the answer.
    pub delay: Duration,
    /// Seconds until `expires_on` of the answer.
    ///
    /// It is negative for a token that a wrong clock sees as expired. The token itself
    /// is valid for an hour.
    pub life_seconds: i64,
}

impl Default for IdentityBehavior {
    fn default() -> Self {
        Self {
            status: 200,
            delay: Duration::ZERO,
            life_seconds: 3_599,
        }
    }
}

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new()
        .route("/msi/token", any(token))
        .with_state(state)
}

async fn token(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let behavior = lock(&state).identity.clone();
    tokio::time::sleep(behavior.delay).await;
    let mut state = lock(&state);
    let (status, body) = answer(&mut state, &behavior, &request);
    state.identity_calls.push(Call {
        at: Instant::now(),
        target: request.uri().to_string(),
        status,
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

fn answer(state: &mut State, behavior: &IdentityBehavior, request: &Request) -> (u16, Value) {
    let refused = |why: &str| (400, json!({ "statusCode": 400, "message": why }));
    let query: BTreeMap<_, _> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    if request.method() != Method::GET {
        return (405, json!({ "message": "GET only" }));
    }
    if request
        .headers()
        .get("x-identity-header")
        .is_none_or(|header| header != IDENTITY_HEADER)
    {
        return (
            401,
            json!({ "message": "X-IDENTITY-HEADER is missing or wrong" }),
        );
    }
    if query.get("api-version").map(String::as_str) != Some("2019-08-01") {
        return refused("api-version must be 2019-08-01");
    }
    let Some(resource) = query.get("resource") else {
        return refused("resource is missing");
    };
    if query.get("client_id") != state.tenant.client_id.as_ref() {
        return refused("no managed identity of this client id");
    }
    if behavior.status != 200 {
        return (behavior.status, json!({ "message": "made up" }));
    }
    let token = issue(state, resource);
    let expires = seconds() + state.identity.life_seconds;
    (
        200,
        json!({
            "access_token": token,
            "expires_on": expires.to_string(),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": state.tenant.client_id.clone().unwrap_or_default(),
        }),
    )
}

/// A token for an audience; the signature is made up.
pub(crate) fn issue(state: &mut State, audience: &str) -> String {
    if let Some(token) = state
        .caller_token
        .clone()
        .filter(|_| audience == crate::API_AUDIENCE)
    {
        return token;
    }
    state.tokens_issued += 1;
    let claims = json!({
        "aud": audience,
        "iss": "https://sts.windows.net/5d2a6d2b-0d5e-4a8c-9a5e-3f6c1c6a9f10/",
        "iat": seconds(),
        "nbf": seconds(),
        "exp": seconds() + 3_599,
        "oid": crate::PRINCIPAL_ID,
        "tid": crate::TENANT_ID,
        "roles": state.tenant.roles,
        "jti": state.tokens_issued.to_string(),
    });
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let token = format!(
        "{}.{}.{}",
        part(json!({ "typ": "JWT", "alg": "RS256" })),
        part(claims),
        URL_SAFE_NO_PAD.encode("made-up-signature")
    );
    state.issued.insert(token.clone());
    token
}

/// The claims of a bearer token.
///
/// `None` if this tenant did not issue it or if it has expired.
pub(crate) fn claims(state: &State, authorization: Option<&header::HeaderValue>) -> Option<Value> {
    let token = authorization?.to_str().ok()?.strip_prefix("Bearer ")?;
    if !state.issued.contains(token) {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    (claims["exp"].as_i64()? > seconds()).then_some(claims)
}

pub(crate) fn seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|time| time.as_secs() as i64)
        .unwrap_or_default()
}
