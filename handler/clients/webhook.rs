//! Tells people of what a report found, by the webhook of a Teams channel.
//!
//! The URL is itself the key to the channel, so it lies in a vault and is
//! written nowhere. Source:
//! <https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams>

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Request, header};
use tokio::time::Instant;
use url::Url;

use crate::{
    clients::key_vault::{KeyVaultClient, SecretError},
    config::Config,
    http::HttpClient,
    identity::Identity,
    retry,
};

/// Longest wait for the webhook.
const TIME: Duration = Duration::from_secs(30);

/// Hosts of Workflows webhooks, by cloud. The older ones at `logic.azure.com`
/// no longer answer.
const HOSTS: [&str; 4] = [
    ".environment.api.powerplatform.com",
    ".environment.api.gov.powerplatform.microsoft.us",
    ".environment.api.high.powerplatform.microsoft.us",
    ".environment.api.powerplatform.partner.microsoftonline.cn",
];

/// Why nothing can be posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookProblem {
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It is no webhook's URL.
    #[error("{0}")]
    Url(&'static str),
}

/// Posts messages, or nothing where no webhook is set.
#[derive(Debug)]
pub struct Notifier {
    webhook: Option<(KeyVaultClient, String)>,
    http: Arc<HttpClient>,
}

impl Notifier {
    /// The notifier of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let vault = config
            .key_vault
            .clone()
            .map(|url| KeyVaultClient::new(url, Arc::clone(&http), identity));
        Self {
            webhook: vault.zip(config.notify_webhook.clone()),
            http,
        }
    }

    /// Whether the webhook is there and one that is posted to; `None` where none
    /// is set. Posts nothing.
    pub async fn check(&self) -> Option<Result<(), WebhookProblem>> {
        let (vault, name) = self.webhook.as_ref()?;
        Some(match vault.secret(name).await {
            Err(error) => Err(WebhookProblem::Secret(error)),
            Ok(secret) => webhook_url(secret.secret())
                .map(drop)
                .map_err(WebhookProblem::Url),
        })
    }

    /// Posts a message. One that does not arrive is logged and holds nothing
    /// up: the report has what it says.
    pub async fn send(&self, message: &[u8]) {
        let Some((vault, name)) = &self.webhook else {
            return;
        };
        let mut tries = 0;
        loop {
            match self.try_send(vault, name, message).await {
                Ok(()) => {
                    tracing::info!(code = "notified", "posted the changes to the webhook");
                    return;
                }
                Err((cause, true)) if tries < retry::MAX_RETRIES => {
                    tracing::debug!(code = "notify_retry", cause, "the webhook failed");
                    tokio::time::sleep(retry::delay(tries, None, fastrand::f64())).await;
                    tries += 1;
                }
                Err((cause, _)) => {
                    tracing::error!(
                        code = "notify_failed",
                        cause,
                        "the changes could not be posted to the webhook of `NOTIFY_WEBHOOK`; they are in changes.csv"
                    );
                    return;
                }
            }
        }
    }

    /// The cause of a failure, and whether a retry may help.
    async fn try_send(
        &self,
        vault: &KeyVaultClient,
        name: &str,
        message: &[u8],
    ) -> Result<(), (String, bool)> {
        let secret = vault.secret(name).await;
        let secret = secret.map_err(|cause| (cause.to_string(), false))?;
        let url = webhook_url(secret.secret()).map_err(|cause| (cause.to_owned(), false))?;
        let mut request = Request::new(Method::POST, url);
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        *request.body_mut() = Some(message.to_vec().into());
        let fetch = self.http.fetch(request, 1 << 20, Instant::now() + TIME);
        let answer = fetch.await.map_err(|error| (error.to_string(), true))?;
        let status = answer.status;
        if status.is_success() {
            return Ok(());
        }
        let again = status.is_server_error() || status.as_u16() == 429;
        Err((format!("the webhook answered with status {status}"), again))
    }
}

/// The URL in a secret, if it is one of a Workflows webhook: a report goes
/// nowhere else, whoever can write the secret.
fn webhook_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the secret holds no URL")?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() != "https" {
        Err("the secret holds no https:// URL")
    } else if HOSTS.iter().any(|suffix| host.ends_with(suffix)) {
        Ok(url)
    } else {
        Err(
            "the secret holds the URL of something else than a Workflows webhook; make a new one in Teams with \"Post to a channel when a webhook request is received\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_workflows_webhooks_are_posted_to() {
        for url in [
            "https://default1234.56.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/x/triggers/manual/paths/invoke?sig=s",
            "https://a.environment.api.gov.powerplatform.microsoft.us/x",
        ] {
            assert!(webhook_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://a.environment.api.powerplatform.com/x",
            "https://prod-01.westeurope.logic.azure.com/workflows/x",
            "https://environment.api.powerplatform.com.evil.example/x",
            "https://evil.example/?a.environment.api.powerplatform.com",
            "hello",
        ] {
            assert!(webhook_url(url).is_err(), "{url}");
        }
    }
}
