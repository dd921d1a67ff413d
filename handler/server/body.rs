//! Request bodies, read completely, with limits on size, time and memory.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::problem_code::ProblemCode;
use super::{ApiError, permit::Permit};

/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// Bytes of bodies in memory at a time; more are answered 503.
const MAX_BODY_BYTES_IN_MEMORY: usize = 64 << 20;

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
                ProblemCode::BodyTooLarge,
                detail,
            ));
        }
        self.bytes.extend_from_slice(piece);
        let in_memory = BODY_BYTES.fetch_add(piece.len(), Ordering::Relaxed) + piece.len();
        if in_memory > MAX_BODY_BYTES_IN_MEMORY {
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

/// Reads the body to its end, however it is framed, by `deadline` at the latest.
///
/// # Errors
/// 413 above `max_bytes`, 408 when it does not arrive in time, 400 when
/// it breaks off, 503 when too many bodies are in memory.
pub async fn read_body(
    request: Request<Body>,
    max_bytes: usize,
    deadline: Instant,
) -> Result<RequestBody, ApiError> {
    // A slow body keeps no other request waiting.
    let permit = request.extensions().get::<Permit>().cloned();
    permit.iter().for_each(Permit::give_back);
    let deadline = deadline.min(Instant::now() + BODY_TIME);
    let read = timeout_at(deadline, collect(request.into_body(), max_bytes))
        .await
        .unwrap_or_else(|_| {
            let detail = "the body did not arrive in time; send it again";
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                ProblemCode::BodyTimeout,
                detail,
            ))
        })?;
    permit.iter().try_for_each(Permit::take_again)?;
    Ok(read)
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
                    ProblemCode::BodyIncomplete,
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
