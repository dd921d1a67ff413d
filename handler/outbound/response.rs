//! A response and its meaning, as far as it is the same for every service.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::SystemTime,
};

use reqwest::{StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Code, Failure, Kind, Service, http::Response, retry, token::Token};

/// A longer response is a list, whose reader finds out whether it is JSON.
const MAX_CHECKED_BYTES: usize = 1 << 20;

/// The meaning of a response: a result, or the next step.
#[derive(Debug)]
pub(crate) enum Meaning<T> {
    /// The result.
    Done(T),
    /// Try again, at most so many times, unless a repeat could do harm.
    Retry {
        /// The failure when no try is left; its `retry_after` is never undercut.
        failure: Failure,
        /// Largest number of retries.
        max_retries: u32,
    },
    /// The token is refused: replace it once.
    Unauthorized,
    /// A retry does not help.
    Failed(Failure),
}

impl<T> Meaning<T> {
    /// The same meaning with another result.
    pub(crate) fn map<U>(self, result: impl FnOnce(T) -> U) -> Meaning<U> {
        match self {
            Self::Done(value) => Meaning::Done(result(value)),
            Self::Retry {
                failure,
                max_retries,
            } => Meaning::Retry {
                failure,
                max_retries,
            },
            Self::Unauthorized => Meaning::Unauthorized,
            Self::Failed(failure) => Meaning::Failed(failure),
        }
    }
}

/// A response with what is needed to explain it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) response: &'a Response,
    pub(crate) service: &'a Service,
    /// The token that was sent; `None` where none was.
    pub(crate) token: Option<&'a Token>,
}

impl Reply<'_> {
    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status
    }

    /// The meaning of a status that is the same for every service: 401, 403, 408,
    /// 429, 5xx, and any other as a rejected request.
    pub(crate) fn standard<T>(&self) -> Meaning<T> {
        match self.status() {
            StatusCode::UNAUTHORIZED => Meaning::Unauthorized,
            StatusCode::FORBIDDEN => Meaning::Failed(self.forbidden()),
            StatusCode::TOO_MANY_REQUESTS => retried(self.throttled()),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                retried(self.unavailable())
            }
            _ => Meaning::Failed(self.rejected()),
        }
    }

    /// The body of a successful response that must be JSON.
    pub(crate) fn json_body(&self) -> Meaning<bytes::Bytes> {
        let body = &self.response.body;
        if !self.is_json() {
            return Meaning::Retry {
                failure: self.protocol("it is not JSON; is a proxy in between?"),
                max_retries: 1,
            };
        }
        if body.len() > MAX_CHECKED_BYTES || serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            return Meaning::Done(body.clone());
        }
        if body.is_empty() {
            return Meaning::Failed(self.protocol("it is empty"));
        }
        retried(self.protocol("it is not valid JSON"))
    }

    /// The body read as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        functions::json::read(&self.response.body)
    }

    /// The body read as a record, which is a JSON object.
    pub(crate) fn read_object<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        functions::json::read_object(&self.response.body)
    }

    fn is_json(&self) -> bool {
        let content_type = self.response.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        content_type.is_some_and(|text| text.to_ascii_lowercase().contains("json"))
    }

    /// A response that the service does not document.
    pub(crate) fn protocol(&self, why: &str) -> Failure {
        let name = &self.service.name;
        let detail = format!("the response from {name} is not what it documents: {why}");
        self.failure(Kind::Protocol, Code::UpstreamProtocol, detail)
    }

    /// 401 again after the token was replaced.
    pub(super) fn unauthorized(&self) -> Failure {
        let Service {
            name,
            audience_setting,
            ..
        } = self.service;
        let detail = format!(
            "{name} refused the token; check `{audience_setting}` and the tenant of the identity. {}",
            self.token_in_use()
        );
        self.failure(Kind::Unauthorized, Code::UpstreamUnauthorized, detail)
    }

    fn forbidden(&self) -> Failure {
        let detail = format!(
            "{} refuses the identity: grant it the role that docs/permissions.md names",
            self.service.name
        );
        self.failure(Kind::Forbidden, Code::MissingPermission, detail)
    }

    /// 429.
    pub(crate) fn throttled(&self) -> Failure {
        let detail = format!(
            "{} throttles this identity; try again later for what is missing",
            self.service.name
        );
        self.failure(Kind::Throttled, Code::UpstreamThrottled, detail)
    }

    /// 408 and 5xx.
    pub(crate) fn unavailable(&self) -> Failure {
        let detail = format!(
            "{} is not available (status {}); try again later",
            self.service.name,
            self.status().as_u16()
        );
        self.failure(Kind::Unavailable, Code::UpstreamUnavailable, detail)
    }

    /// Any other status.
    pub(crate) fn rejected(&self) -> Failure {
        let detail = format!(
            "{} rejected the request (status {})",
            self.service.name,
            self.status().as_u16()
        );
        self.failure(Kind::Rejected, Code::UpstreamRejected, detail)
    }

    /// A failure with the status, the time for a retry, and a cause for the log.
    pub(crate) fn failure(&self, kind: Kind, code: Code, detail: impl Into<String>) -> Failure {
        let mut failure = Failure::new(kind, code, detail, self.describe());
        failure.retry_after = retry::retry_after(&self.response.headers, SystemTime::now());
        failure.with_status(self.status().as_u16())
    }

    /// The times of the token that was sent, and when a new grant takes effect.
    pub(crate) fn token_in_use(&self) -> String {
        let Some(token) = self.token else {
            return String::new();
        };
        format!(
            "The token in use was issued {} and expires {}; the platform keeps it for up to 24 hours, and a grant made since it \
             was issued takes effect with the next one",
            token.issued(),
            token.expires()
        )
    }

    /// Status, size and digest, never the body.
    fn describe(&self) -> String {
        let body = &self.response.body;
        let mut digest = DefaultHasher::new();
        body.hash(&mut digest);
        format!(
            "status {}, {} bytes, digest {:016x}",
            self.status().as_u16(),
            body.len(),
            digest.finish()
        )
    }
}

fn retried<T>(failure: Failure) -> Meaning<T> {
    Meaning::Retry {
        failure,
        max_retries: retry::MAX_RETRIES,
    }
}
