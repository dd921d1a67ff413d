//! Reads what is left of a request's body before its answer goes back.
//!
//! The Functions host turns an answer to a request that it is still sending into an empty
//! 500, and a connection with half a request on it breaks the next one.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::timeout;

/// Most bytes that are read and dropped, the largest request of the host.
/// Source: <https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits>
const MAX_BYTES: usize = 100 << 20;

/// Longest time for it.
const TIME: Duration = Duration::from_secs(20);

/// A body that a route may read in part.
#[derive(Debug)]
struct Watched {
    body: Arc<Mutex<Body>>,
    was_read: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.was_read.store(true, Ordering::Relaxed);
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

/// The rest of a body.
#[derive(Debug)]
pub(super) struct RestOfBody {
    watched: Watched,
    /// True if the client waits for a go-ahead before it sends.
    waits: bool,
}

/// The request with a watched body, and what will be left of it; `None` if it has no body.
pub(super) fn watch(request: Request<Body>) -> (Request<Body>, Option<RestOfBody>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let was_read = Arc::new(AtomicBool::new(false));
    let same = || Watched {
        body: Arc::clone(&body),
        was_read: Arc::clone(&was_read),
    };
    let rest = RestOfBody {
        watched: same(),
        waits,
    };
    (Request::from_parts(parts, Body::new(same())), Some(rest))
}

impl RestOfBody {
    /// Reads the rest and returns the response. Where the rest is too much, too slow, or
    /// not sent yet, the connection ends with the response.
    pub(super) async fn before(self, mut response: Response<Body>) -> Response<Body> {
        let is_slow = response.status() == StatusCode::REQUEST_TIMEOUT;
        let is_unsent = self.waits && !self.watched.was_read.load(Ordering::Relaxed);
        let is_read =
            !is_slow && !is_unsent && timeout(TIME, drop_rest(self.watched)).await == Ok(true);
        if !is_read {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// Reads to the end; returns false if that is too far.
async fn drop_rest(mut body: Watched) -> bool {
    let mut bytes = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return false,
            None => break,
        }
        if bytes > MAX_BYTES {
            return false;
        }
    }
    true
}
