//! The Functions host: the id of an invocation, and paths as it forwards them.
//!
//! The host forwards HTTP requests unchanged, or wraps them (and always timers) in
//! an envelope: `POST /{FunctionName}`.
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, Uri, uri::PathAndQuery},
    response::IntoResponse,
};
use futures::FutureExt;

use super::ApiError;
use crate::invocation::{InvocationId, in_invocation};

/// Header with the id of the invocation. A forwarding host adds its own behind one that
/// the client sent, in a further header or after a comma, so the last one counts.
pub const INVOCATION_ID_HEADER: &str = "x-azure-functions-invocationid";

/// The host's id of an invocation, or a new one where it sent none that is an id.
pub fn invocation_id(headers: &HeaderMap) -> InvocationId {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let sent = headers
        .get_all(INVOCATION_ID_HEADER)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok()?.rsplit(',').next())
        .map(str::trim);
    let valid = sent.filter(|id| !id.is_empty() && id.len() <= 64 && id.chars().all(plain));
    valid.map_or_else(InvocationId::generate, |id| InvocationId(Arc::from(id)))
}

/// Runs a request as an invocation of `function`: gives it an id, which is on every
/// log line, and turns a panic into a problem.
pub(super) async fn invocation<R, F>(
    function: &'static str,
    request: Request<Body>,
    work: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    R: IntoResponse,
    F: Future<Output = Result<R, ApiError>>,
{
    let id = invocation_id(request.headers());
    let work = async {
        // The panic hook has logged its place; a panic costs one invocation.
        AssertUnwindSafe(async { work(request).await })
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("a panic, see the line before")))
            .into_response()
    };
    in_invocation(function, id, work).await
}

/// The path as routes are written: the host matches routes without regard to case
/// and forwards the path as the client wrote it, so the two segments that name a
/// route are lowered, and a slash at the end is dropped.
pub(super) fn normalize_path(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    let route_ends = trimmed
        .match_indices('/')
        .nth(2)
        .map_or(trimmed.len(), |(index, _)| index);
    let (route, rest) = trimmed.split_at(route_ends);
    let has_capitals = route.bytes().any(|byte| byte.is_ascii_uppercase());
    if trimmed.is_empty() || (trimmed.len() == path.len() && !has_capitals) {
        return request;
    }
    let mut target = route.to_ascii_lowercase() + rest;
    if let Some(query) = request.uri().query() {
        target = format!("{target}?{query}");
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}
