//! The credential of a token request.

use std::sync::Arc;

use azure_core::{
    credentials::TokenCredential,
    http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport},
};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};

use crate::outbound::{http::HttpClient, sdk_transport::SdkTransport};

/// Makes the credential for one token request.
pub type CredentialFactory =
    Box<dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync>;

pub(super) fn managed(
    client_id: Option<String>,
    http: &HttpClient,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let client = http
        .direct()
        .map_err(|error| azure_core::Error::new(azure_core::error::ErrorKind::Credential, error))?;
    let client_options = ClientOptions {
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            initial_delay: time::Duration::milliseconds(100),
            max_retries: 2,
            max_total_elapsed: time::Duration::seconds(15),
            max_delay: time::Duration::seconds(2),
        }),
        transport: Some(Transport::new(Arc::new(SdkTransport::new(client)))),
        ..ClientOptions::default()
    };
    let credential = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(UserAssignedId::ClientId),
        client_options,
    }))?;
    Ok(credential)
}

/// The cause and the status of a failed request, without the text of the endpoint:
/// that could hold a token.
pub(super) fn cause(error: &azure_core::Error) -> (String, Option<u16>) {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(status) = error
            .downcast_ref::<azure_core::Error>()
            .and_then(azure_core::Error::http_status)
        {
            let status = u16::from(status);
            return (format!("status {status}"), Some(status));
        }
        if error.is::<serde_json::Error>() {
            return ("the response holds no token".to_owned(), None);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            let cause = if error.is_connect() {
                "no connection"
            } else {
                "no response"
            };
            return (cause.to_owned(), None);
        }
        next = error.source();
    }
    ("no usable response".to_owned(), None)
}
