//! What can go wrong with a call to Defender, and who has to act.

use std::time::Duration;

use functions::hashes::{ItemError, ItemStatus};

use crate::{http::FetchError, identity::IdentityError, limiter::Limited};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody: a limit or the deadline came first; ask again later.
    Throttled,
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
}

impl Kind {
    /// Whether every other call would fail the same way.
    pub fn concerns_every_call(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    /// Whether Defender is down, so that an old answer is better than none.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Unavailable | Self::Protocol | Self::NoToken)
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
        }
    }

    /// The caller's deadline came first.
    pub fn deadline() -> Self {
        let detail = "not answered within the time for one call; ask again for what is missing";
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..Self::new(Kind::Throttled, "deadline_exceeded", detail, "")
        }
    }

    /// Our own limiter lets no call through in time.
    pub fn limited(limited: Limited) -> Self {
        let detail =
            "the call limit of the Defender API is used up; ask again later for what is missing";
        Self {
            retry_after: Some(limited.retry_after),
            ..Self::new(Kind::Throttled, "upstream_throttled", detail, "own limiter")
        }
    }

    /// An answer that cannot be about the file asked for.
    pub fn unusable_answer(why: &str) -> Self {
        super::answers::protocol(&format!("{why}; nothing is concluded from it"))
    }

    /// The same failure, told while the breaker is open for another `left`.
    pub fn while_open(self, left: Duration) -> Self {
        if self.kind == Kind::Unavailable {
            self.retry_in(left)
        } else {
            self
        }
    }

    /// The same failure, with a retry that makes sense after `wait`.
    pub fn retry_in(mut self, wait: Duration) -> Self {
        self.retry_after = Some(self.retry_after.unwrap_or_default().max(wait));
        self
    }

    /// The failure as an item of a list tells it.
    pub fn to_item(&self) -> (ItemStatus, ItemError) {
        let status = if self.kind == Kind::Throttled {
            ItemStatus::Throttled
        } else {
            ItemStatus::Failed
        };
        let retry_after_seconds = self.retry_after.map(|wait| wait.as_secs().max(1));
        (
            status,
            ItemError {
                code: self.code.to_owned(),
                detail: self.detail.clone(),
                retry_after_seconds,
            },
        )
    }
}

impl From<IdentityError> for DefenderError {
    fn from(error: IdentityError) -> Self {
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
