//! Azure Key Vault: the few secrets that have no identity-based way.
//! Source: <https://docs.rs/azure_security_keyvault_secrets>

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{ClientOptions, StatusCode, Transport},
};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions, models::Secret as KeyVaultSecret,
};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::outbound::{
    Code, Failure, HttpClient, Identity, Kind, Token, sdk_transport::SdkTransport,
};

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
        let read = timeout(TIME, self.read(name)).await;
        let secret = read
            .map_err(|_| unreachable("no response in time"))?
            .map_err(|error| failed(name, &error))?;
        let value = secret.value.filter(|value| !value.trim().is_empty());
        value
            .map(|value| Secret::new(value.trim().to_owned()))
            .ok_or_else(|| missing(format!("the secret `{name}` is empty"), "empty"))
    }

    /// Reads a secret; a second time with another token if the first one is refused.
    async fn read(&self, name: &str) -> azure_core::Result<KeyVaultSecret> {
        let credential = Arc::new(Credential::new(Arc::clone(&self.identity)));
        let client = self.client(Arc::clone(&credential))?;
        let get = async || client.get_secret(name, None).await?.into_model();
        match get().await {
            Err(error) if error.http_status() == Some(StatusCode::Unauthorized) => {
                credential.replace().await?;
                get().await
            }
            read => read,
        }
    }

    fn client(&self, credential: Arc<Credential>) -> azure_core::Result<SecretClient> {
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
        401 => {
            let detail = "Key Vault refused the token; check that the vault and the identity belong to the same tenant";
            let code = Code::UpstreamUnauthorized;
            Failure::new(Kind::Unauthorized, code, detail, cause)
        }
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
struct Credential {
    identity: Arc<Identity>,
    /// The audience that the vault asked for, and the token that the SDK has.
    last: Mutex<Option<(String, Arc<Token>)>>,
}

impl Credential {
    fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            last: Mutex::default(),
        }
    }

    /// Replaces the token that the vault refused.
    async fn replace(&self) -> azure_core::Result<()> {
        let last = self.lock().clone();
        if let Some((audience, refused)) = last {
            let deadline = Instant::now() + TIME;
            let replaced = self.identity.replace(&audience, &refused, deadline).await;
            replaced.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(String, Arc<Token>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let audience = scope.trim_end_matches("/.default");
        let token = self.identity.token(audience, Instant::now() + TIME).await;
        let token = token.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))?;
        *self.lock() = Some((audience.to_owned(), Arc::clone(&token)));
        Ok(AccessToken::new(
            Secret::new(token.secret().to_owned()),
            // The identity renews tokens itself; the SDK asks it each time.
            OffsetDateTime::now_utc() + Duration::from_secs(300),
        ))
    }
}
