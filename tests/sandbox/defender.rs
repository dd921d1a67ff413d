//! The Defender for Endpoint API: reading files and Indicators.
//!
//! Sources: <https://learn.microsoft.com/defender-endpoint/api/get-file-information>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-ti-indicators-collection>

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State as Extract},
    http::{Method, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use serde_json::{Value, json};

use crate::{Call, DEFENDER_AUDIENCE, State, fault, identity, lock, vdi};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let arrived = Instant::now();
    let target = request.uri().to_string();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return error(400, "BadRequest", "no body");
    };
    let (latency, fault) = {
        let mut state = lock(&state);
        (
            state.latency,
            fault::take(&mut state.faults, &parts.method, &target),
        )
    };
    tokio::time::sleep(latency).await;
    let mut planned = None;
    {
        let mut state = lock(&state);
        let response = match &fault {
            Some(fault) => Err(fault.status),
            None => Ok(by_the_book(&mut state, &parts, &body, arrived)),
        };
        let status = response
            .as_ref()
            .map_or_else(|status| *status, |response| response.status().as_u16());
        state.defender_calls.push(Call {
            at: arrived,
            target,
            status,
        });
        planned = response.ok().or(planned);
    }
    match (fault, planned) {
        (Some(fault), _) => fault.respond().await,
        (None, Some(response)) => response,
        (None, None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn by_the_book(state: &mut State, request: &Parts, body: &Bytes, now: Instant) -> Response<Body> {
    let Some(claims) = identity::claims(state, request.headers.get(header::AUTHORIZATION)) else {
        return error(401, "Unauthorized", "no bearer token");
    };
    if claims["aud"] != DEFENDER_AUDIENCE {
        return error(403, "Forbidden", "the token is for another audience");
    }
    if let Some(wait) = over_limit(state, request.uri.path(), now) {
        let mut response = error(429, "TooManyRequests", "too many requests");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        return response;
    }
    match request.uri.path() {
        "/api/indicators" => return indicators(state, request, &claims),
        "/api/machines" | "/api/deviceavinfo" => return vdi::list(state, request, &claims),
        "/api/machines/AddOrRemoveTagForMultipleMachines" => {
            return vdi::tag(state, request, body, &claims);
        }
        "/api/advancedqueries/run" if vdi::holds(&claims, "AdvancedQuery.Read.All") => {
            return vdi::hunt(state, body, &["Query"], true);
        }
        "/api/advancedqueries/run" => {
            return error(403, "Forbidden", "missing application roles");
        }
        path if path.starts_with("/api/files/") => {}
        _ => return error(404, "NoSuchPath", "no such resource path"),
    }
    file(state, request, &claims)
}

fn file(state: &State, request: &Parts, claims: &Value) -> Response<Body> {
    let Some(rest) = request.uri.path().strip_prefix("/api/files/") else {
        return error(404, "NoSuchPath", "no such resource path");
    };
    let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
    let role = match part {
        "" | "stats" => "File.Read.All",
        "alerts" => "Alert.Read.All",
        "machines" => "Machine.Read.All",
        _ => return error(404, "NoSuchPath", "no such resource path"),
    };
    let held = claims["roles"].as_array();
    if !held.is_some_and(|roles| roles.iter().any(|held| held == role)) {
        return error(403, "Forbidden", "missing application roles");
    }
    if request.method != Method::GET {
        return error(405, "BadRequest", "GET only");
    }
    if request.uri.query().is_some() {
        return error(400, "BadRequest", "this endpoint takes no query");
    }
    if ![40, 64].contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return error(400, "InvalidHashValue", "neither SHA-1 nor SHA-256");
    }
    if !part.is_empty() && id.len() != 40 {
        return error(400, "InvalidHashValue", "this endpoint takes only SHA-1");
    }
    let same = |hash: &str| hash.eq_ignore_ascii_case(id);
    let file = state
        .tenant
        .files
        .iter()
        .find(|file| same(&file.sha1) || same(&file.sha256));
    match (file, part) {
        (Some(file), "") => found(&file.to_json()),
        (Some(file), "stats") => found(&file.stats()),
        (Some(file), "alerts") => found(&json!({ "value": file.alerts })),
        (Some(file), _) => found(&json!({ "value": file.devices })),
        (None, "alerts" | "machines") => found(&json!({ "value": [] })),
        (None, _) => error(404, "ResourceNotFound", "File was not found"),
    }
}

/// Roles of the Indicators API; with the first, an application sees only its own.
const TI_ROLES: [&str; 3] = ["Ti.ReadWrite", "Ti.ReadWrite.All", "Ti.Read.All"];

fn indicators(state: &State, request: &Parts, claims: &Value) -> Response<Body> {
    let held: Vec<&str> = TI_ROLES
        .into_iter()
        .filter(|role| {
            claims["roles"]
                .as_array()
                .is_some_and(|roles| roles.contains(&json!(role)))
        })
        .collect();
    if held.is_empty() {
        return error(403, "Forbidden", "missing application roles");
    }
    if request.method != Method::GET {
        return error(405, "BadRequest", "GET only here");
    }
    let query = request.uri.query().unwrap_or_default().replace("%27", "'");
    let value = query
        .strip_prefix("$filter=indicatorValue+eq+'")
        .and_then(|rest| rest.strip_suffix('\''));
    let Some(value) = value.filter(|value| !value.contains('\'')) else {
        return error(400, "BadRequest", "the query is not understood");
    };
    let of_others = held != ["Ti.ReadWrite"];
    let listed: Vec<&Value> = state
        .tenant
        .indicators
        .iter()
        .filter(|indicator| of_others && indicator["indicatorValue"] == value)
        .collect();
    found(
        &json!({ "@odata.context": "https://api.security.microsoft.com/api/$metadata#Indicators", "value": listed }),
    )
}

pub(crate) fn found(body: &Value) -> Response<Body> {
    (
        [(
            header::CONTENT_TYPE,
            "application/json; odata.metadata=minimal",
        )],
        body.to_string(),
    )
        .into_response()
}

/// The time until the limits of the minute and the hour let a call through.
fn over_limit(state: &State, path: &str, now: Instant) -> Option<Duration> {
    let accepted: Vec<Instant> = state
        .defender_calls
        .iter()
        .filter(|call| call.status != 429 && part_of(&call.target) == part_of(path))
        .map(|call| call.at)
        .collect();
    let (per_minute, per_hour) = state.limits;
    [(MINUTE, per_minute), (HOUR, per_hour)]
        .into_iter()
        .find_map(|(window, limit)| {
            let mut recent = accepted
                .iter()
                .filter(|at| now.saturating_duration_since(**at) < window);
            let count = recent.clone().count();
            (count >= limit).then(|| {
                window.saturating_sub(
                    recent
                        .next()
                        .map(|at| now.saturating_duration_since(*at))
                        .unwrap_or_default(),
                )
            })
        })
}

/// The endpoint below a file that a path belongs to: each has its own limits.
fn part_of(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.trim_start_matches("/api/files/")
        .split_once('/')
        .map_or("", |(_, part)| part)
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "error": { "code": code, "message": message, "target": "43f4cb08-8fac-4b65-9db1-745c2ae65f3a" } });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
