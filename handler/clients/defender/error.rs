//! What can go wrong with a call to Defender, and who has to act.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use functions::hashes::{ItemError, ItemStatus};
use reqwest::StatusCode;
use serde::Deserialize;

use crate::{
    http::{Answer, FetchError},
    identity::{IdentityError, Token},
    limiter::Limited,
};

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

/// The documented error body: `{"error":{"code","message","target"}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorFields {
    code: String,
    /// The correlation id that Microsoft support asks for.
    target: Option<String>,
}

impl DefenderError {
    fn new(
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
        protocol(&format!("{why}; nothing is concluded from it"))
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

/// The answer is none that the documentation knows.
pub(super) fn protocol(why: &str) -> DefenderError {
    DefenderError::new(
        Kind::Protocol,
        "upstream_protocol",
        format!("Microsoft Defender answered otherwise than documented: {why}"),
        why,
    )
}

/// The token holds characters that no header may have.
pub(super) fn unusable_token() -> DefenderError {
    DefenderError::new(
        Kind::NoToken,
        "identity_unavailable",
        "the identity gave an unusable token",
        "control characters in the token",
    )
}

/// 429.
pub(super) fn throttled(answer: &Answer, hint: Option<Duration>) -> DefenderError {
    let detail =
        "Microsoft Defender throttles this application; ask again later for what is missing";
    DefenderError {
        retry_after: hint,
        ..DefenderError::new(
            Kind::Throttled,
            "upstream_throttled",
            detail,
            describe(answer),
        )
    }
}

/// 408 and 5xx.
pub(super) fn down(answer: &Answer, hint: Option<Duration>) -> DefenderError {
    let detail = format!(
        "Microsoft Defender is not available (status {}); ask again later",
        answer.status.as_u16()
    );
    DefenderError {
        retry_after: hint,
        ..DefenderError::new(
            Kind::Unavailable,
            "upstream_unavailable",
            detail,
            describe(answer),
        )
    }
}

/// 401 again after the token was replaced.
pub(super) fn unauthorized(answer: &Answer, token: &Token) -> DefenderError {
    let detail = format!(
        "Microsoft Defender refused the token (issued {}); check `DEFENDER_API_AUDIENCE` and the tenant of the identity",
        token.issued()
    );
    DefenderError::new(
        Kind::Unauthorized,
        "upstream_unauthorized",
        detail,
        describe(answer),
    )
}

/// 403: a role is missing, or the audience, or the licence.
pub(super) fn forbidden(
    answer: &Answer,
    endpoint: &str,
    role: &str,
    token: &Token,
) -> DefenderError {
    let issued = token.issued();
    let detail = if token.claims.scp.is_some() {
        format!(
            "Microsoft Defender refused this person's sign-in for {endpoint}: use an identity that holds the application role \
             `{role}` (`az login --service-principal` or `--identity`), or ask the deployed service; docs/permissions.md"
        )
    } else if token.claims.roles.iter().any(|held| held == role) {
        format!(
            "Microsoft Defender refused {endpoint} although the token holds `{role}`: check that `DEFENDER_API_AUDIENCE` is the \
             audience of this cloud and that the tenant has a Defender for Endpoint licence"
        )
    } else {
        format!(
            "the identity lacks the application role `{role}` of WindowsDefenderATP; grant it as docs/permissions.md says. The \
             token in use was issued {issued}: the platform keeps it for up to 24 hours, and a grant made since then takes \
             effect with the next one"
        )
    };
    DefenderError::new(
        Kind::Forbidden,
        "missing_permission",
        detail,
        describe(answer),
    )
}

/// Any other status: our request was not taken.
pub(super) fn rejected(answer: &Answer) -> DefenderError {
    let detail = match correlation(answer) {
        Some(id) => format!(
            "Microsoft Defender rejected the request (status {}, correlation id {id})",
            answer.status.as_u16()
        ),
        None => format!(
            "Microsoft Defender rejected the request (status {})",
            answer.status.as_u16()
        ),
    };
    DefenderError::new(
        Kind::Rejected,
        "upstream_rejected",
        detail,
        describe(answer),
    )
}

/// Whether a 404 is Defender's own: the code of the page, or no body at all.
pub(super) fn is_documented_404(answer: &Answer) -> bool {
    debug_assert_eq!(answer.status, StatusCode::NOT_FOUND);
    answer.body.is_empty()
        || ["NotFound", "ResourceNotFound"].contains(&fields(answer).code.as_str())
}

/// Status, error code, correlation id, size and digest, never the body.
fn describe(answer: &Answer) -> String {
    let code = fields(answer).code.chars().take(60).collect::<String>();
    let target = correlation(answer).unwrap_or_default();
    let mut digest = DefaultHasher::new();
    answer.body.hash(&mut digest);
    format!(
        "status {}, code `{code}`, correlation id `{target}`, {} bytes, digest {:016x}",
        answer.status.as_u16(),
        answer.body.len(),
        digest.finish()
    )
}

fn correlation(answer: &Answer) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    fields(answer)
        .target
        .filter(|id| id.len() <= 64 && id.chars().all(plain))
}

fn fields(answer: &Answer) -> ErrorFields {
    serde_json::from_slice::<ErrorBody>(&answer.body)
        .unwrap_or_default()
        .error
}
