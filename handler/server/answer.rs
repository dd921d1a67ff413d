//! Answers of a route: text, JSON, and pages that run and load nothing.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use serde::Serialize;

use super::ApiError;

/// No script, no frame, nothing from elsewhere: anyone can choose the names in a
/// page.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer of this content type.
pub fn text(content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A JSON answer.
///
/// # Errors
/// 500 when the value cannot be written as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut response = json_bytes(body.into());
    *response.status_mut() = status;
    Ok(response)
}

/// The answer, or 304 without a body where the client has it: `known` are its headers
/// `If-None-Match`.
pub(super) fn if_changed(response: Response<Body>, known: &[HeaderValue]) -> Response<Body> {
    let tag = response.headers().get(header::ETAG);
    let tag = tag.and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = known.iter().filter_map(|known| known.to_str().ok());
    let has_it = known
        .flat_map(|known| known.split(','))
        .any(|one| one.trim() == "*" || weak(one) == tag);
    if response.status() != StatusCode::OK || tag.is_empty() || !has_it {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// An answer that is JSON already.
pub fn json_bytes(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
