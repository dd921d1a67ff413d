//! `hash_lookup`: `GET /api/hashes/{hash}` and `POST /api/hashes`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Method, Request, Response, StatusCode, header},
};
use functions::hashes::{HashResult, ItemStatus, Observable, UnusableRequest, payload};
use percent_encoding::percent_decode_str;

use super::{MAX_BODY_BYTES, json, read_body, refuse_unknown_parameters};
use crate::{error::ApiError, services::Services};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/hashes";

/// Answers one hash or a list.
///
/// # Errors
/// A problem, see docs/api.md.
pub async fn hash_lookup(
    State(services): State<Arc<Services>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let hash = request
        .uri()
        .path()
        .get(PATH.len()..)
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    match *request.method() {
        Method::GET => {
            refuse_unknown_parameters(&request)?;
            one(&services, &hash).await
        }
        Method::POST if hash.is_empty() => {
            refuse_unknown_parameters(&request)?;
            list(&services, request).await
        }
        Method::POST => Err(ApiError::method_not_allowed("GET")),
        _ => Err(ApiError::method_not_allowed("GET, POST")),
    }
}

async fn one(services: &Services, hash: &str) -> Result<Response<Body>, ApiError> {
    let text = percent_decode_str(hash).decode_utf8_lossy();
    let input = Observable::parse(&text);
    let deadline = services.hashes.deadline();
    let answer = services.hashes.look_up_all(&[input], deadline).await;
    let [result] = answer.results.as_slice() else {
        return Err(ApiError::internal("one input gave no single result"));
    };
    match result.status {
        ItemStatus::Ok => json(StatusCode::OK, result),
        _ => Err(unanswered(result)),
    }
}

async fn list(services: &Services, request: Request<Body>) -> Result<Response<Body>, ApiError> {
    let deadline = services.hashes.deadline();
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let inputs = payload::parse(
        &content_type,
        &read_body(request, MAX_BODY_BYTES, deadline).await?,
    )?;
    let answer = services.hashes.look_up_all(&inputs, deadline).await;
    let mut response = json(StatusCode::OK, &answer)?;
    if let Some(seconds) = answer.retry_after_seconds().filter(|_| !answer.complete) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// A single look-up without a verdict is a problem: 400 when the caller can
/// mend it, 503 when a retry helps, 502 when the operator has to act.
fn unanswered(result: &HashResult) -> ApiError {
    let Some(error) = &result.error else {
        return ApiError::internal("a result without verdict and error");
    };
    let status = match (result.status, error.code.as_str()) {
        (ItemStatus::Invalid, _) => StatusCode::BAD_REQUEST,
        (ItemStatus::Throttled, _) | (_, "upstream_unavailable" | "identity_unavailable") => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    ApiError {
        cause: error.cause.clone(),
        retry_after_seconds: error.retry_after_seconds,
        ..ApiError::new(status, error.code.clone(), error.detail.clone())
    }
}

impl From<UnusableRequest> for ApiError {
    fn from(error: UnusableRequest) -> Self {
        let status = match error {
            UnusableRequest::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}
