//! Errors of the HTTP API: RFC 9457 problem bodies.
//!
//! A problem has a message for the caller and, apart from it, one for the log. Both
//! carry the id of the invocation that is answered.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder, Type},
};

use super::problem_code::ProblemCode;
use crate::{
    invocation,
    outbound::{Failure, Kind, seconds_rounded_up},
};

/// A request that is answered with a problem.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: ProblemCode,
    /// The cause and the remedy, for the caller.
    pub detail: String,
    /// More for the log; never sent.
    pub cause: String,
    /// Header `Retry-After`, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// Header `Allow` of a 405.
    pub allow: Option<Box<str>>,
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
    /// The message for the caller: what happened and what to do.
    detail: &'a str,
    /// The id under which the log has more.
    invocation_id: &'a str,
}

impl IntoResponses for ApiError {
    /// The problems that every function can answer with, for its description.
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let described = PROBLEMS.map(|(status, description)| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let mut response = ResponseBuilder::new()
                .description(description)
                .content("application/problem+json", content.build());
            if status == "503" {
                let seconds = HeaderBuilder::new()
                    .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
                    .description(Some(
                        "Seconds until a retry may help; absent where that is not known",
                    ));
                response = response.header("Retry-After", seconds.build());
            }
            (status.to_owned(), RefOr::T(response.build()))
        });
        BTreeMap::from(described)
    }
}

/// Status and description of the problems that every function can answer with.
const PROBLEMS: [(&str, &str); 6] = [
    ("400", "The request has to be corrected as `detail` says."),
    ("401", "No token, or one that is not accepted."),
    (
        "403",
        "The token lacks the application role that `detail` names.",
    ),
    ("405", "The path takes other methods."),
    ("500", "A bug; the log has more under the invocation id."),
    (
        "503",
        "Try again later; after the time in `Retry-After` where it is given.",
    ),
];

/// Rendered for the invocation that is answered, and logged there.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        self.log();
        let id = invocation::current()
            .map(|(_, id)| id.0)
            .unwrap_or_default();
        self.render(&id)
    }
}

impl ApiError {
    /// A problem without anything special.
    pub fn new(status: StatusCode, code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
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
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ProblemCode::Internal,
                detail,
            )
        }
    }

    /// No function answers this path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NotFound,
            "no function has this path; docs/api.md lists them",
        )
    }

    /// Another method than the function takes.
    pub fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("this path takes {allow}");
        Self {
            allow: Some(allow.into()),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ProblemCode::MethodNotAllowed,
                detail,
            )
        }
    }

    /// Too many requests at a time.
    pub fn overloaded() -> Self {
        let detail = "too many requests at a time; ask again in a few seconds";
        Self {
            retry_after_seconds: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ProblemCode::Overloaded,
                detail,
            )
        }
    }

    fn log(&self) {
        let (status, code, cause) = (self.status.as_u16(), self.code.as_str(), &self.cause);
        match self.status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(status, code, cause, "{}", self.detail)
            }
            _ if self.code.is_of_envelope() => {
                tracing::error!(status, code, cause, "{}", self.detail)
            }
            _ if self.code == ProblemCode::Overloaded => {
                tracing::warn!(status, code, "{}", self.detail)
            }
            _ => tracing::info!(status, code, cause, "{}", self.detail),
        }
    }

    /// The response, for the invocation with this id.
    fn render(&self, invocation_id: &str) -> Response<Body> {
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code.as_str(),
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
        if let Some(allow) = self.allow.as_deref()
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
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
            retry_after_seconds: failure.retry_after.map(seconds_rounded_up),
            ..Self::new(status, failure.code.into(), failure.detail)
        }
    }
}
