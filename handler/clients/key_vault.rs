//! Azure Key Vault: the few secrets that have no identity-based way.
//! Source: <https://docs.rs/azure_security_keyvault_secrets>

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{ClientOptions, Transport},
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::{http::HttpClient, identity::Identity};

/// Longest wait for a secret.
const TIME: Duration = Duration::from_secs(30);

/// Why there is no secret; holds its name, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The identity lacks the role; a retry does not help.
    #[error(
        "Key Vault refuses the secret `{0}`: give the identity the role Key Vault Secrets User on it; the vault's firewall, or a secret that is disabled, refuses the same way"
    )]
    Refused(String),
    /// The vault does not have it.
    #[error("the vault has no secret `{0}`: create it, or mend `NOTIFY_WEBHOOK`")]
    NotThere(String),
    /// It holds nothing.
    #[error("the secret `{0}` is empty")]
    Empty(String),
    /// Another status; a retry may help.
    #[error("Key Vault answered with status {0} for the secret `{1}`")]
    Status(u16, String),
    /// No answer; a retry may help.
    #[error(
        "Key Vault cannot be reached or did not answer in time; check `KEY_VAULT_URL` and the network"
    )]
    Unreachable,
}

/// A vault.
#[derive(Debug)]
pub struct KeyVaultClient {
    url: Url,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl KeyVaultClient {
    /// The vault at a URL; asks nothing yet.
    pub fn new(url: Url, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        Self {
            url,
            http,
            identity,
        }
    }

    /// The newest version of a secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn secret(&self, name: &str) -> Result<Secret, SecretError> {
        let name = || name.to_owned();
        let failed = |error: &azure_core::Error| match error.http_status().map(u16::from) {
            Some(403) => SecretError::Refused(name()),
            Some(404) => SecretError::NotThere(name()),
            Some(status) => SecretError::Status(status, name()),
            None => SecretError::Unreachable,
        };
        let client = self.client().map_err(|error| failed(&error))?;
        let read = async { client.get_secret(&name(), None).await?.into_model() };
        let secret = timeout(TIME, read)
            .await
            .map_err(|_| SecretError::Unreachable)?
            .map_err(|error| failed(&error))?;
        let value = secret.value.filter(|value| !value.trim().is_empty());
        value
            .map(|value| Secret::new(value.trim().to_owned()))
            .ok_or_else(|| SecretError::Empty(name()))
    }

    fn client(&self) -> azure_core::Result<SecretClient> {
        let http = self
            .http
            .for_sdk()
            .map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        let options = SecretClientOptions {
            client_options: ClientOptions {
                transport: Some(Transport::new(Arc::new(http))),
                ..ClientOptions::default()
            },
            ..SecretClientOptions::default()
        };
        let credential = Arc::new(Credential(Arc::clone(&self.identity)));
        SecretClient::new(self.url.as_str(), credential, Some(options))
    }
}

/// Hands the tokens of the process to the SDK.
#[derive(Debug)]
struct Credential(Arc<Identity>);

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let audience = scope.trim_end_matches("/.default");
        let token = self.0.token(audience, Instant::now() + TIME).await;
        let token = token.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))?;
        Ok(AccessToken::new(
            Secret::new(token.secret().to_owned()),
            // The identity renews tokens itself; the SDK asks it each time.
            OffsetDateTime::now_utc() + Duration::from_secs(300),
        ))
    }
}
