//! HTTP triggers: read the request, call the service, render the answer.

pub mod coverage;
pub mod explorer;
pub mod golden_image;
pub mod hashes;
pub mod health;
pub mod report;
pub mod vdi;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// Bytes of bodies in memory at a time; more are answered 503.
const MOST_BODY_BYTES: usize = 64 << 20;

/// No script, no frame, nothing from elsewhere: names in a page are anybody's
/// choice.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Longest time in which a body arrives.
const BODY_TIME: Duration = Duration::from_secs(30);

static BODY_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A request body, counted among those in memory until it is dropped.
#[derive(Debug, Default)]
pub struct RequestBody {
    bytes: Vec<u8>,
}

impl RequestBody {
    fn push(&mut self, piece: &[u8], max_bytes: usize) -> Result<(), ApiError> {
        if self.bytes.len() + piece.len() > max_bytes {
            let detail = format!("the body is larger than {max_bytes} bytes; send it in parts");
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                detail,
            ));
        }
        self.bytes.extend_from_slice(piece);
        let in_memory = BODY_BYTES.fetch_add(piece.len(), Ordering::Relaxed) + piece.len();
        if in_memory > MOST_BODY_BYTES {
            Err(ApiError::overloaded())
        } else {
            Ok(())
        }
    }
}

impl std::ops::Deref for RequestBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        BODY_BYTES.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// Reads the whole body, however it is framed, by `deadline` at the latest.
///
/// # Errors
/// 413 above `max_bytes`, 408 when it does not arrive in time, 400 when
/// it breaks off, 503 when too many bodies are in memory.
pub async fn read_body(
    request: Request<Body>,
    max_bytes: usize,
    deadline: Instant,
) -> Result<RequestBody, ApiError> {
    let deadline = deadline.min(Instant::now() + BODY_TIME);
    timeout_at(deadline, collect(request.into_body(), max_bytes))
        .await
        .unwrap_or_else(|_| {
            let detail = "the body did not arrive in time; send it again";
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                detail,
            ))
        })
}

async fn collect(mut body: Body, max_bytes: usize) -> Result<RequestBody, ApiError> {
    let mut read = RequestBody::default();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => {
                read.push(&piece, max_bytes)?;
            }
            Ok(Err(_trailers)) => {}
            Err(error) => {
                let problem = ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "body_incomplete",
                    "the body broke off",
                );
                return Err(ApiError {
                    cause: error.to_string(),
                    ..problem
                });
            }
        }
    }
    Ok(read)
}

/// The query parameters of a request, each of them known and given once. The
/// host's own key parameters are left out.
///
/// # Errors
/// 400 `unknown_parameter` for a name that no answer depends on, so that a
/// misspelt one is not silently without effect; 400 `repeated_parameter`.
pub fn parameters(
    request: &Request<Body>,
    known: &[&str],
) -> Result<BTreeMap<String, String>, ApiError> {
    pairs(request, known, &[]).map(|pairs| pairs.into_iter().collect())
}

/// As [`parameters`], in the order given; those of `repeatable` more than once.
///
/// # Errors
/// As [`parameters`].
pub fn pairs(
    request: &Request<Body>,
    known: &[&str],
    repeatable: &[&str],
) -> Result<Vec<(String, String)>, ApiError> {
    let bad = |code: &str, detail: String| ApiError::new(StatusCode::BAD_REQUEST, code, detail);
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
    {
        if ["code", "clientid"].contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        if !known.contains(&name.as_ref()) {
            let detail = match known {
                [] => "this path takes no query parameters".to_owned(),
                known => format!(
                    "this path takes the query parameters {}; docs/api.md says what they mean",
                    known.join(", ")
                ),
            };
            return Err(bad("unknown_parameter", detail));
        }
        let again = found.iter().any(|(known, _)| *known == name);
        if again && !repeatable.contains(&name.as_ref()) {
            return Err(bad(
                "repeated_parameter",
                format!("the query parameter {name} is there twice"),
            ));
        }
        found.push((name.into_owned(), value.into_owned()));
    }
    Ok(found)
}

/// An answer of this content type.
pub fn text(content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
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

/// An answer that is JSON already.
pub fn json_bytes(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
