//! The codes of problem bodies and of their log lines.

use std::borrow::Cow;

use strum::{AsRefStr, VariantNames};

use crate::outbound::Code;

/// The stable code of a problem, `[a-z][a-z0-9_.-]*`. `docs/api.md` lists the codes.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ProblemCode {
    /// A bug of ours.
    Internal,
    /// No function has the path.
    NotFound,
    /// The function does not accept the method.
    MethodNotAllowed,
    /// Too many requests at a time.
    Overloaded,
    /// There is no bearer token.
    TokenMissing,
    /// The bearer token is not accepted.
    TokenRefused,
    /// The signing keys cannot be read.
    KeysUnavailable,
    /// The token lacks an application role.
    MissingRole,
    /// There are no roles with `API_AUTH=host`.
    NoRoles,
    /// `serve` with `API_AUTH=off`: another machine's name, or a page of another site.
    NotLocal,
    /// The body is larger than the function accepts.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off.
    BodyIncomplete,
    /// The body is empty.
    EmptyBody,
    /// The body is compressed.
    CompressedBody,
    /// A parameter that the function does not have.
    UnknownParameter,
    /// A parameter twice.
    RepeatedParameter,
    /// A parameter with a value that is not allowed.
    InvalidParameter,
    /// A format that the function does not have.
    UnknownFormat,
    /// Evidence that the function does not have.
    UnknownInclude,
    /// The work was not finished in time.
    DeadlineExceeded,
    /// There is no report yet.
    NoReport,
    /// The report has no such file.
    NoSuchFile,
    /// There is no such script.
    NoSuchScript,
    /// The body is not evidence of a machine.
    NoEvidence,
    /// A run of the report is in progress.
    RunInProgress,
    /// The report is off.
    ReportOff,
    /// Nothing could be read for the report.
    NothingReadable,
    /// An envelope of another content type.
    EnvelopeContentType,
    /// An envelope without `Data` and `Metadata`.
    EnvelopeInvalid,
    /// An envelope without an input.
    EnvelopeInput,
    /// An envelope for a function that does not exist.
    EnvelopeUnknownFunction,
    /// An envelope that is too large.
    EnvelopeBodyTooLarge,
    /// An envelope that did not arrive in time.
    EnvelopeBodyTimeout,
    /// An envelope that broke off.
    EnvelopeBodyIncomplete,
    /// A call to the outside failed.
    #[strum(transparent)]
    Outbound(Code),
    /// The code of an input that cannot be used, or of an item without a verdict.
    #[strum(transparent)]
    Item(Cow<'static, str>),
}

impl ProblemCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// Returns true if the host gets the problem, which reports it to no one.
    pub(super) fn is_of_envelope(&self) -> bool {
        matches!(
            self,
            Self::EnvelopeContentType
                | Self::EnvelopeInvalid
                | Self::EnvelopeInput
                | Self::EnvelopeUnknownFunction
                | Self::EnvelopeBodyTooLarge
                | Self::EnvelopeBodyTimeout
                | Self::EnvelopeBodyIncomplete
        )
    }

    /// The code of a problem with a body, where the body is an envelope.
    pub(super) fn in_envelope(self) -> Self {
        match self {
            Self::BodyTooLarge => Self::EnvelopeBodyTooLarge,
            Self::BodyTimeout => Self::EnvelopeBodyTimeout,
            Self::BodyIncomplete => Self::EnvelopeBodyIncomplete,
            other => other,
        }
    }
}

impl From<Code> for ProblemCode {
    fn from(code: Code) -> Self {
        Self::Outbound(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_and_one_from_outside_is_unchanged() {
        assert_eq!(ProblemCode::BodyTooLarge.as_str(), "body_too_large");
        let body = ProblemCode::BodyTooLarge.in_envelope();
        assert_eq!(body.as_str(), "envelope_body_too_large");
        assert!(body.is_of_envelope());
        let outbound = ProblemCode::from(Code::UpstreamThrottled);
        assert_eq!(outbound.as_str(), "upstream_throttled");
        let item = ProblemCode::Item("hash_md5".into());
        assert_eq!(item.as_str(), "hash_md5");
    }
}
