//! What the Functions host sends and expects.
//!
//! The host forwards HTTP requests as they are, or wraps them (and always
//! timers and queue messages) in an envelope: `POST /{FunctionName}`. Here are
//! the invocation every request belongs to ([`invocation`]), the envelope
//! ([`envelope`]), its reply ([`reply`]) and wrapped HTTP ([`wrapped_http`]).
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>

pub mod envelope;
pub mod reply;
pub mod wrapped_http;

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode, Uri},
    response::IntoResponse,
};
use futures::FutureExt;

use crate::{error::ApiError, telemetry};

/// Header with the id of the invocation. A forwarding host adds its own behind
/// one that the client sent, so the last one counts.
pub const INVOCATION_ID_HEADER: &str = "x-azure-functions-invocationid";

/// The id of one call from the host, for logs and problem bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationId(pub Arc<str>);

impl InvocationId {
    /// The host's id, or a new one where it sent none that is an id.
    pub fn of(headers: &HeaderMap) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let sent = headers
            .get_all(INVOCATION_ID_HEADER)
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok());
        let valid = sent.filter(|id| !id.is_empty() && id.len() <= 64 && id.chars().all(plain));
        Self(valid.map_or_else(own_id, Arc::from))
    }
}

/// An id for a request that came without one. It tells log lines apart and
/// guards nothing, so the quick generator does.
fn own_id() -> Arc<str> {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes())
        .into_uuid()
        .to_string()
        .into()
}

/// Runs a request as an invocation of `function`: gives it an id, puts both on
/// every log line, renders and logs its problem.
pub async fn invocation<R, F>(
    function: &'static str,
    request: Request<Body>,
    work: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    R: IntoResponse,
    F: Future<Output = Result<R, ApiError>>,
{
    let id = InvocationId::of(request.headers());
    let work = async {
        // The panic hook has logged its place; a panic costs one invocation.
        let result = AssertUnwindSafe(async { work(request).await })
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("a panic, see the line before")));
        match result {
            Ok(answer) => answer.into_response(),
            Err(problem) => {
                log(&problem);
                problem.render(&id.0)
            }
        }
    };
    telemetry::in_invocation(function, id.clone(), work).await
}

fn log(problem: &ApiError) {
    let (status, code, cause) = (problem.status.as_u16(), &problem.code, &problem.cause);
    match problem.status {
        StatusCode::INTERNAL_SERVER_ERROR => {
            tracing::error!(status, code, cause, "{}", problem.detail)
        }
        _ if problem.code.starts_with("envelope_") => {
            tracing::error!(status, code, cause, "{}", problem.detail)
        }
        _ if problem.code == "overloaded" => tracing::warn!(status, code, "{}", problem.detail),
        _ => tracing::info!(status, code, cause, "{}", problem.detail),
    }
}

/// The host matches routes without regard to case and forwards the path as the
/// client wrote it: lowers the two segments that name a route.
pub fn lower_route(mut request: Request<Body>) -> Request<Body> {
    let path = request.uri().path();
    let route_ends = path
        .match_indices('/')
        .nth(2)
        .map_or(path.len(), |(index, _)| index);
    if path[..route_ends]
        .bytes()
        .any(|byte| byte.is_ascii_uppercase())
    {
        let lowered = path[..route_ends].to_ascii_lowercase() + &path[route_ends..];
        let target = match request.uri().query() {
            Some(query) => format!("{lowered}?{query}"),
            None => lowered,
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}
