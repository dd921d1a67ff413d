//! Ways in which a server can be made to fail.

use std::{
    io::{Error, Write},
    time::Duration,
};

use axum::{
    body::Body as HttpBody,
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
};
use bytes::Bytes;
use futures::stream::{self, StreamExt};

/// A failure that answers the next calls instead of the tenant.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Text that the method and path of a call must contain; empty for every call.
    ///
    /// Example: `PATCH /subscriptions/...`.
    pub path: String,
    /// The number of calls it answers; `None` for all.
    pub times: Option<usize>,
    /// Status of the answer.
    pub status: u16,
    /// Headers of the answer.
    pub headers: Vec<(&'static str, String)>,
    /// Time before the first byte.
    pub delay: Duration,
    /// Body of the answer.
    pub body: Body,
}

/// Body of a failing answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// This text.
    Text(String),
    /// This text, then the connection breaks off.
    TruncatedAfter(String),
    /// One byte a second, without end.
    Dribble,
    /// Spaces, as fast as the reader reads.
    Endless,
    /// These bytes, with a header that declares gzip.
    Gzip(Bytes),
}

impl Fault {
    /// Every call gets this status with a JSON body in Defender's error shape.
    pub fn status(status: u16) -> Self {
        let code = match status {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            429 => "TooManyRequests",
            _ => "InternalServerError",
        };
        let body = format!(
            r#"{{"error":{{"code":"{code}","message":"made up","target":"43f4cb08-8fac-4b65-9db1-745c2ae65f3a"}}}}"#
        );
        Self {
            path: String::new(),
            times: None,
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            delay: Duration::ZERO,
            body: Body::Text(body),
        }
    }

    /// Every call gets 200 with this JSON text, valid or not.
    pub fn json(body: &str) -> Self {
        Self {
            body: Body::Text(body.to_owned()),
            ..Self::status(200)
        }
    }

    /// Only the next `times` calls.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Only calls whose method and path contain this.
    #[must_use]
    pub fn on(self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self
        }
    }

    /// With one more header, in place of one of the same name.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(kept, _)| *kept != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With another body.
    #[must_use]
    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// With time before the first byte.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) async fn respond(self) -> Response<HttpBody> {
        tokio::time::sleep(self.delay).await;
        let compressed = matches!(self.body, Body::Gzip(_));
        let mut response = Response::new(self.body.into_http());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        if compressed {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Finds the first fault for this call and uses it up by one.
pub(crate) fn take(faults: &mut [Fault], method: &Method, target: &str) -> Option<Fault> {
    let call = format!("{method} {target}");
    let fault = faults
        .iter_mut()
        .find(|fault| call.contains(&fault.path) && fault.times != Some(0))?;
    fault.times = fault.times.map(|times| times - 1);
    Some(fault.clone())
}

impl Body {
    /// A small body that unpacks to this many spaces.
    pub fn gzip_bomb(bytes: usize) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..bytes.div_ceil(1 << 16) {
            // Writing to memory cannot fail.
            let _ = encoder.write_all(&[b' '; 1 << 16]);
        }
        Self::Gzip(encoder.finish().unwrap_or_default().into())
    }

    fn into_http(self) -> HttpBody {
        match self {
            Self::Text(text) => HttpBody::from(text),
            Self::TruncatedAfter(text) => {
                let pieces = [
                    Ok(Bytes::from(text)),
                    Err(Error::other("broken off on purpose")),
                ];
                // The piece before the break has to reach the wire first.
                HttpBody::from_stream(stream::iter(pieces).then(|piece| async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    piece
                }))
            }
            Self::Dribble => HttpBody::from_stream(stream::repeat(b" ").then(|byte| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Error>(Bytes::from_static(byte))
            })),
            Self::Endless => HttpBody::from_stream(stream::repeat_with(|| {
                Ok::<_, Error>(Bytes::from_static(&[b' '; 16_384]))
            })),
            Self::Gzip(bytes) => HttpBody::from(bytes),
        }
    }
}
