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

use crate::outbound::{Code, Failure, HttpClient, Identity, Kind, sdk_transport::SdkTransport};

/// Longest wait for a secret.
const TIME: Duration = Duration::from_secs(30);

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
    /// [`Failure`] with the name of the secret, never its value: `secret_refused`,
    /// `secret_missing`, or `upstream_unavailable`, where a retry may help.
    pub async fn secret(&self, name: &str) -> Result<Secret, Failure> {
        let client = self.client().map_err(|error| failed(name, &error))?;
        let read = async { client.get_secret(name, None).await?.into_model() };
        let secret = timeout(TIME, read)
            .await
            .map_err(|_| unreachable("no response in time"))?
            .map_err(|error| failed(name, &error))?;
        let value = secret.value.filter(|value| !value.trim().is_empty());
        value
            .map(|value| Secret::new(value.trim().to_owned()))
            .ok_or_else(|| missing(format!("the secret `{name}` is empty"), "empty"))
    }

    fn client(&self) -> azure_core::Result<SecretClient> {
        let http = self
            .http
            .for_sdk()
            .map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        let options = SecretClientOptions {
            client_options: ClientOptions {
                transport: Some(Transport::new(Arc::new(SdkTransport::new(http)))),
                ..ClientOptions::default()
            },
            ..SecretClientOptions::default()
        };
        let credential = Arc::new(Credential(Arc::clone(&self.identity)));
        SecretClient::new(self.url.as_str(), credential, Some(options))
    }
}

/// The failure of a call that the SDK made.
fn failed(name: &str, error: &azure_core::Error) -> Failure {
    let Some(status) = error.http_status().map(u16::from) else {
        return unreachable("no response");
    };
    let cause = format!("status {status}");
    let failure = match status {
        403 => {
            let detail = format!(
                "Key Vault refuses the secret `{name}`: give the identity the role Key Vault Secrets User on it; the vault's firewall, or a secret that is disabled, refuses the same way"
            );
            Failure::new(Kind::Forbidden, Code::SecretRefused, detail, cause)
        }
        404 => {
            let detail = format!(
                "the vault does not have the secret `{name}`: create it, or correct `NOTIFY_WEBHOOK`"
            );
            missing(detail, &cause)
        }
        _ => {
            let detail =
                format!("Key Vault responded with status {status} for the secret `{name}`");
            Failure::new(Kind::Unavailable, Code::UpstreamUnavailable, detail, cause)
        }
    };
    failure.with_status(status)
}

fn missing(detail: String, cause: &str) -> Failure {
    Failure::new(Kind::Unusable, Code::SecretMissing, detail, cause)
}

fn unreachable(cause: &str) -> Failure {
    let detail = "Key Vault cannot be reached or did not respond in time; check `KEY_VAULT_URL` and the network";
    Failure::new(Kind::Unavailable, Code::UpstreamUnavailable, detail, cause)
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
