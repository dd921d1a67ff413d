//! The one failure of everything outside: who must act, a code, a message for
//! the caller and one for the log.

mod code;

use std::time::Duration;

use super::http::FetchError;

pub use code::Code;

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No one: a limit was reached first. A retry helps later.
    Throttled,
    /// No one: the deadline came while the call was in progress. A retry helps.
    TimedOut,
    /// No one: the service is down. A retry helps later.
    Unavailable,
    /// The operator, if it persists: the response is not what the service documents,
    /// or something between us and the service answered.
    Protocol,
    /// The developer: the service did not accept the request.
    Rejected,
    /// The operator: the token is not accepted.
    Unauthorized,
    /// The operator: a role is missing.
    Forbidden,
    /// The operator: there is no token.
    NoToken,
    /// The operator: what a setting names is missing or cannot be used.
    Unusable,
    /// The developer: the process itself failed.
    Internal,
}

impl Kind {
    /// Returns true if the service is down, so that an old answer is better than none.
    pub(crate) fn is_outage(self) -> bool {
        matches!(
            self,
            Self::TimedOut | Self::Unavailable | Self::Protocol | Self::NoToken
        )
    }
}

/// A call without a usable result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Who must act.
    pub kind: Kind,
    /// Stable code.
    pub code: Code,
    /// The message for the caller: what happened and what to do; nothing secret.
    pub detail: String,
    /// More for the log: status, codes, causes; no body, no token.
    pub cause: String,
    /// Time after which a retry may help; `None` where that is not known.
    pub retry_after: Option<Duration>,
    /// HTTP status of the last response; `None` where there was none.
    pub status: Option<u16>,
    /// True if the open breaker answered, without a call.
    pub(crate) is_echo: bool,
}

impl Failure {
    /// A failure without a status or a time for a retry.
    pub(crate) fn new(
        kind: Kind,
        code: Code,
        detail: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            code,
            detail: detail.into(),
            cause: cause.into(),
            retry_after: None,
            status: None,
            is_echo: false,
        }
    }

    /// The caller's deadline came first.
    pub(crate) fn deadline() -> Self {
        let detail = "not answered within the time for one call; try again for what is missing";
        Self::new(Kind::TimedOut, Code::DeadlineExceeded, detail, "deadline")
            .retry_in(Duration::from_secs(5))
    }

    /// A person ended the command.
    pub(crate) fn interrupted() -> Self {
        Self::new(
            Kind::TimedOut,
            Code::Interrupted,
            "the command was interrupted",
            "interrupted",
        )
    }

    /// The work ended without a result: a bug of ours.
    pub(crate) fn internal() -> Self {
        let detail = "the look-up failed inside Defender Functions; the log has the reason";
        Self::new(
            Kind::Internal,
            Code::Internal,
            detail,
            "the task ended without a result, see the line before",
        )
    }

    /// A call without a response from `service`, whose URL comes from `setting`.
    pub(super) fn no_response(service: &str, setting: &str, error: &FetchError) -> Self {
        let cause = error.to_string();
        match error {
            FetchError::Connect(_) | FetchError::Timeout(_) | FetchError::Interrupted(_) => {
                let detail = format!(
                    "{service} cannot be reached or does not respond in time; check `{setting}` and the network, or try again later"
                );
                Self::new(Kind::Unavailable, Code::UpstreamUnavailable, detail, cause)
            }
            FetchError::Tls(_) => {
                let detail = format!(
                    "the certificate behind `{setting}` is not valid; check the URL and any proxy that opens TLS"
                );
                Self::new(Kind::Protocol, Code::UpstreamTls, detail, cause)
            }
            FetchError::TooLarge(_) => {
                let detail = format!(
                    "the response from {service} is far larger than documented; nothing is concluded from it"
                );
                Self::new(Kind::Protocol, Code::UpstreamTooLarge, detail, cause)
            }
            FetchError::NoClient(_) => Self::new(
                Kind::Protocol,
                Code::UpstreamTls,
                "this machine has no certificate store; install CA certificates",
                cause,
            ),
        }
    }

    /// Returns true if it passes by itself.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(
            self.kind,
            Kind::Throttled | Kind::TimedOut | Kind::Unavailable
        )
    }

    /// The same failure while the breaker stays open for another `left`.
    pub(super) fn while_open(self, left: Duration) -> Self {
        let failure = match self.kind {
            Kind::Unavailable => self.retry_in(left),
            // The response was about another call.
            Kind::Unauthorized | Kind::Forbidden => Self {
                detail: format!(
                    "not asked, because another call was refused: {}",
                    self.detail
                ),
                ..self
            },
            _ => self,
        };
        Self {
            is_echo: true,
            ..failure
        }
    }

    /// The same failure, with a retry that makes sense after `wait`.
    pub(crate) fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_after = Some(self.retry_after.unwrap_or_default().max(wait));
        self
    }

    /// The same failure, after a response with this status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_and_that_of_the_service_is_its_own() {
        assert_eq!(Code::StorageNoContainer.as_str(), "storage_no_container");
        assert_eq!(Code::UpstreamTls.as_str(), "upstream_tls");
        let of_service = |text: &str| Code::of_service(text.to_owned());
        assert_eq!(of_service("overloaded").as_str(), "overloaded");
        for odd in ["", "A code", "x\ny", "1st", &"a".repeat(65)] {
            assert_eq!(of_service(odd), Code::ServiceProblem, "{odd}");
        }
        assert_eq!("upstream_throttled".parse(), Ok(Code::UpstreamThrottled));
    }
}
