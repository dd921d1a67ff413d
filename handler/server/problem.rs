//! Errors of the HTTP API: RFC 9457 problem bodies.
//!
//! A problem has a message for the caller and, apart from it, one for the log.
//! The invocation layer of [`crate::host`] writes both, because it knows the
//! invocation id.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::outbound::{Failure, Kind};

/// A request that gets no answer but a problem.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code, `[a-z][a-z0-9_.-]*`.
    pub code: String,
    /// What happened and what to do, for the caller.
    pub detail: String,
    /// More for the log; never sent.
    pub cause: String,
    /// Header `Retry-After`, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// Header `Allow` of a 405.
    pub allow: Option<&'static str>,
    /// Header `WWW-Authenticate: Bearer` of a 401.
    pub authenticate: bool,
}

/// The body: RFC 9457 with our `code` and `invocationId`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Stable code; docs/api.md lists them.
    code: &'a str,
    /// What happened and what to do.
    detail: &'a str,
    /// Under this id the log has more.
    invocation_id: &'a str,
}

/// The problems that every function can answer with, for its description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered; nobody makes one")]
pub(crate) enum Problems<'a> {
    /// The request has to be mended as `detail` says.
    #[response(status = 400, content_type = "application/problem+json")]
    Unusable(Problem<'a>),
    /// No token, or one that is not accepted.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem<'a>),
    /// The token lacks the application role that `detail` names.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem<'a>),
    /// The function takes other methods.
    #[response(status = 405, content_type = "application/problem+json")]
    Method(Problem<'a>),
    /// A bug; the log has more under the invocation id.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem<'a>),
    /// Ask again later; after the time in `Retry-After` where it is there.
    #[response(status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds until a retry may help; absent where that is not known")))]
    Unavailable(Problem<'a>),
}

impl ApiError {
    /// A problem without anything special.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            cause: String::new(),
            retry_after_seconds: None,
            allow: None,
            authenticate: false,
        }
    }

    /// The process itself failed: a bug of ours. The cause goes to the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "the request failed inside Defender Functions; the log has the reason under this invocation id";
        Self {
            cause: cause.into(),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }

    /// No function answers this path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "no function has this path; docs/api.md lists them",
        )
    }

    /// Another method than the function takes.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path takes {allow}");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        }
    }

    /// Too many requests at a time.
    pub fn overloaded() -> Self {
        let detail = "too many requests at a time; ask again in a few seconds";
        Self {
            retry_after_seconds: Some(2),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
        }
    }

    /// The whole response, for the invocation with this id.
    pub fn render(&self, invocation_id: &str) -> Response<Body> {
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: &self.code,
            detail: &self.detail,
            invocation_id,
        };
        let mut response =
            Response::new(Body::from(serde_json::to_vec(&problem).unwrap_or_default()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.authenticate {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// 503 where a retry helps, 502 where the operator has to act.
impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            Kind::Throttled | Kind::TimedOut | Kind::Unavailable | Kind::NoToken => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self {
            cause: failure.cause,
            ..Self::new(status, failure.code.as_str(), failure.detail)
        }
    }
}
