//! The failures of storage, by the code of the service.

use object_store::Error;

use super::Storage;
use super::azure::Refusal;
use crate::{
    config::ReportLocation,
    outbound::{Code, Failure, Kind},
};

impl Storage {
    pub(super) fn failure(&self, error: &Error, refusal: &Refusal) -> Failure {
        let place = &self.place;
        if let Some(failure) = own_failure(error) {
            return failure.clone();
        }
        let cause = one_line(error);
        let failed = |kind, code, detail: String| Failure::new(kind, code, detail, &*cause);
        let failure = match Reason::of(error, refusal) {
            Reason::Unauthorized => failed(
                Kind::Unauthorized,
                Code::UpstreamUnauthorized,
                format!(
                    "storage refused the token for {place}; check that the account and the identity belong to the same tenant"
                ),
            ),
            Reason::Forbidden => failed(
                Kind::Forbidden,
                Code::StorageForbidden,
                format!(
                    "storage refuses {place}: give the identity the role Storage Blob Data Contributor on the container; \
                     a new assignment takes up to ten minutes, and the account's firewall has to let the app in"
                ),
            ),
            Reason::NoContainer => failed(
                Kind::Unusable,
                Code::StorageNoContainer,
                format!(
                    "the container {place} does not exist: create it, or correct `REPORTS_URL` and `REPORTS_LATEST_URL`"
                ),
            ),
            Reason::Immutable => failed(
                Kind::Unusable,
                Code::StorageUnusable,
                format!(
                    "{place} has an immutability policy, but the pointer to the newest report has to be replaced: name another container in `REPORTS_LATEST_URL`"
                ),
            ),
            Reason::Other if matches!(place, ReportLocation::Blob { .. }) => failed(
                Kind::Unavailable,
                Code::StorageUnavailable,
                format!("storage did not respond as documented: {place}; try again later"),
            ),
            Reason::Other => failed(
                Kind::Unusable,
                Code::StorageUnusable,
                format!("{place} cannot be used for reports: {cause}"),
            ),
        };
        Failure {
            status: refusal.status(),
            ..failure
        }
    }
}

/// The reason of a failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Unauthorized,
    Forbidden,
    NoContainer,
    Immutable,
    Other,
}

impl Reason {
    /// The reason that the service gives in its error code.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        if refusal.is("ContainerNotFound") {
            Self::NoContainer
        } else if refusal.is("BlobImmutableDueToPolicy") {
            Self::Immutable
        } else {
            Self::Other
        }
    }

    /// The reason of an error. The kinds of the library do not distinguish a missing
    /// file from a missing container, and those of a list say nothing.
    fn of(error: &Error, refusal: &Refusal) -> Self {
        match (Self::of_refusal(refusal), error, refusal.status()) {
            (Self::Other, Error::Unauthenticated { .. }, _)
            | (Self::Other, Error::Generic { .. }, Some(401)) => Self::Unauthorized,
            (Self::Other, Error::PermissionDenied { .. }, _)
            | (Self::Other, Error::Generic { .. }, Some(403)) => Self::Forbidden,
            (reason, _, _) => reason,
        }
    }
}

pub(super) fn unusable(detail: String, cause: String) -> Failure {
    Failure::new(Kind::Unusable, Code::StorageUnusable, detail, cause)
}

/// The failure that our own token or transport put into an error.
pub(super) fn own_failure(error: &Error) -> Option<&Failure> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| {
        let error: &(dyn std::error::Error + 'static) = *error;
        error.source()
    })
    .find_map(|error| error.downcast_ref::<Failure>())
}

/// An error for the log: its first line, because the body of the response follows.
pub(super) fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}
