//! The stable codes of failures.

use strum::{AsRefStr, EnumString, VariantNames};

/// The stable code of an item, a problem body or a log line.
#[derive(Clone, Debug, PartialEq, Eq, AsRefStr, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    /// The caller's deadline came first.
    DeadlineExceeded,
    /// A person ended the command.
    Interrupted,
    /// The service, or our own limiter, asks to wait.
    UpstreamThrottled,
    /// No connection, no response in time, 408 or 5xx.
    UpstreamUnavailable,
    /// The response is not what the service documents.
    UpstreamProtocol,
    /// The certificate is not valid, or this machine has no certificate store.
    UpstreamTls,
    /// The response is larger than it may be.
    UpstreamTooLarge,
    /// The service did not accept the request.
    UpstreamRejected,
    /// The service refused the token, also after it was replaced.
    UpstreamUnauthorized,
    /// A role is missing.
    MissingPermission,
    /// The query has more rows than one response may hold.
    ResultTooLarge,
    /// There is no token.
    IdentityUnavailable,
    /// Defender does not know the device.
    UnknownDevice,
    /// The process itself failed.
    Internal,
    /// Storage refuses the identity.
    StorageForbidden,
    /// The container does not exist.
    StorageNoContainer,
    /// Storage did not respond as documented; a retry may help.
    StorageUnavailable,
    /// Storage cannot be used for this; a retry does not help.
    StorageUnusable,
    /// The vault refuses the secret.
    SecretRefused,
    /// The vault does not have the secret, or it is empty.
    SecretMissing,
    /// The secret does not hold the URL of a webhook.
    WebhookUnusable,
    /// A workbook changed in the meantime, or does not hold what was written.
    WorkbookChanged,
    /// A workbook is stored in a way that is not touched.
    WorkbookUnusable,
    /// The deployed service cannot be reached, or something else answers there.
    ServiceUnreachable,
    /// App Service refuses the caller before the service does.
    ServiceRefused,
    /// The deployed service is of another version.
    ServiceVersion,
    /// A file is not the one that the manifest describes.
    ServiceChanged,
    /// The deployed service answered with a problem whose code is not one.
    ServiceProblem,
    /// The code of a problem body of the deployed service.
    #[strum(transparent, default)]
    OfService(String),
}

impl Code {
    /// The code that the deployed service names, if it has the form of a code.
    pub(crate) fn of_service(text: String) -> Self {
        let is_code = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.len() <= 64
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
            });
        match is_code {
            true => Self::OfService(text),
            false => Self::ServiceProblem,
        }
    }

    /// The code as text, `[a-z][a-z0-9_.-]*`.
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}
