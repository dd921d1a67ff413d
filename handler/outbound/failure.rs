//! What can go wrong with a call to Defender, and who has to act.

use std::time::Duration;

use functions::hashes::{ItemError, ItemStatus};

use crate::{http::FetchError, identity::IdentityError, limiter::Limited};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody: a limit or the deadline came first; ask again later.
    Throttled,
    /// Nobody: the deadline came while the call was under way.
    TimedOut,
    /// Nobody: the service is down; ask again later.
    Unavailable,
    /// The operator, where it lasts: something between us and Defender
    /// answers, or Defender answers otherwise than documented.
    Protocol,
    /// The developer: Defender did not take our request.
    Rejected,
    /// The operator: the token is not accepted.
    Unauthorized,
    /// The operator: a role is missing.
    Forbidden,
    /// The operator: there is no token.
    NoToken,
    /// The developer: the look-up itself failed.
    Internal,
}

impl Kind {
    /// Whether every other call would fail the same way.
    pub fn concerns_every_call(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    /// Whether Defender is down, so that an old answer is better than none.
    pub fn is_outage(self) -> bool {
        matches!(
            self,
            Self::TimedOut | Self::Unavailable | Self::Protocol | Self::NoToken
        )
    }
}

/// A failed call: a message for the caller and one for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DefenderError {
    /// Who has to act.
    pub kind: Kind,
    /// Stable code of the item or problem.
    pub code: &'static str,
    /// What happened and what to do, for the caller.
    pub detail: String,
    /// More for the log: status, codes, causes; no body, no token.
    pub cause: String,
    /// When a retry may help; `None` where that is not known.
    pub retry_after: Option<Duration>,
    /// Whether the open breaker told it, without a call.
    pub is_echo: bool,
}

impl DefenderError {
    pub(super) fn new(
        kind: Kind,
        code: &'static str,
        detail: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            code,
            detail: detail.into(),
            cause: cause.into(),
            retry_after: None,
            is_echo: false,
        }
    }

    /// The caller's deadline came first.
    pub fn deadline() -> Self {
        let detail = "not answered within the time for one call; ask again for what is missing";
        Self::new(Kind::TimedOut, "deadline_exceeded", detail, "deadline")
            .retry_in(Duration::from_secs(5))
    }

    /// Our own limiter lets no call through in time.
    pub fn limited(limited: Limited) -> Self {
        match limited {
            Limited::Busy => Self::deadline(),
            Limited::UsedUp { retry_after } => {
                let detail = "the call limit of the Defender API is used up; ask again later for what is missing";
                Self::new(Kind::Throttled, "upstream_throttled", detail, "own limiter")
                    .retry_in(retry_after)
            }
        }
    }

    /// Somebody ended the command.
    pub fn interrupted() -> Self {
        Self::new(
            Kind::TimedOut,
            "interrupted",
            "not asked any more: the command was interrupted",
            "interrupted",
        )
    }

    /// The look-up ended without a result: a bug of ours.
    pub fn internal() -> Self {
        let detail = "the look-up failed inside Defender Functions; the log has the reason";
        Self::new(
            Kind::Internal,
            "internal",
            detail,
            "the task ended without a result, see the line before",
        )
    }

    /// A device that Defender does not know (any more).
    pub fn unknown_device() -> Self {
        let detail = "Defender does not know this device, or not any more";
        Self::new(Kind::Rejected, "unknown_device", detail, "status 404")
    }

    /// An answer that cannot be about the file asked for.
    pub fn unusable_answer(why: &str) -> Self {
        super::answers::protocol(&format!("{why}; nothing is concluded from it"))
    }

    /// Whether it passes by itself.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.kind,
            Kind::Throttled | Kind::TimedOut | Kind::Unavailable
        )
    }

    /// The same failure, told while the breaker is open for another `left`.
    pub fn while_open(self, left: Duration) -> Self {
        let error = if self.kind == Kind::Unavailable {
            self.retry_in(left)
        } else {
            self
        };
        Self {
            is_echo: true,
            ..error
        }
    }

    /// The same failure, with a retry that makes sense after `wait`.
    pub fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_after = Some(self.retry_after.unwrap_or_default().max(wait));
        self
    }

    /// The failure as an item of a list tells it.
    pub fn to_item(&self) -> (ItemStatus, ItemError) {
        let status = match self.kind {
            Kind::Throttled | Kind::TimedOut => ItemStatus::Throttled,
            _ => ItemStatus::Failed,
        };
        let error = ItemError {
            code: self.code.to_owned(),
            detail: self.detail.clone(),
            retry_after_seconds: self.retry_after.map(whole_seconds),
            cause: self.cause.clone(),
        };
        (status, error)
    }
}

/// Seconds, rounded up: a caller must not come back too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl From<IdentityError> for DefenderError {
    fn from(error: IdentityError) -> Self {
        if error.timed_out {
            return Self::deadline();
        }
        Self::new(
            Kind::NoToken,
            "identity_unavailable",
            error.detail,
            error.cause,
        )
    }
}

impl From<&FetchError> for DefenderError {
    fn from(error: &FetchError) -> Self {
        let cause = error.to_string();
        match error {
            FetchError::Connect(_) | FetchError::Timeout(_) | FetchError::Interrupted(_) => {
                let detail = "Microsoft Defender cannot be reached or does not answer in time; ask again later";
                Self::new(Kind::Unavailable, "upstream_unavailable", detail, cause)
            }
            FetchError::Tls(_) => {
                let detail = "the certificate behind `DEFENDER_API_URL` is not valid; check the URL and any proxy that opens TLS";
                Self::new(Kind::Protocol, "upstream_tls", detail, cause)
            }
            FetchError::TooLarge(_) => Self::new(
                Kind::Protocol,
                "upstream_too_large",
                "the answer is far larger than documented; nothing is concluded from it",
                cause,
            ),
            FetchError::NoClient(_) => Self::new(
                Kind::Protocol,
                "upstream_tls",
                "no certificate store was found on this machine; install CA certificates",
                cause,
            ),
        }
    }
}
