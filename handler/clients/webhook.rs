//! The webhook of a Teams channel, which receives the findings of a report.
//!
//! The URL is itself the key to the channel, so it is stored in a vault and written
//! nowhere. Source:
//! <https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams>

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::key_vault::KeyVaultClient;
use crate::{
    config::Config,
    outbound::{
        Code, Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Outbound, Refusals, Reply,
        Request, Service, limiter::Limiter,
    },
};

/// Time for a message with its retries.
const TIME: Duration = Duration::from_secs(120);

/// Largest response of the webhook.
const MAX_BYTES: usize = 1 << 20;

/// Hosts of Workflows webhooks, by cloud. The older ones at `logic.azure.com`
/// no longer answer.
const HOSTS: [&str; 4] = [
    ".environment.api.powerplatform.com",
    ".environment.api.gov.powerplatform.microsoft.us",
    ".environment.api.high.powerplatform.microsoft.us",
    ".environment.api.powerplatform.partner.microsoftonline.cn",
];

/// Posts messages, or nothing where no webhook is set.
#[derive(Debug)]
pub struct Webhook {
    secret: Option<(KeyVaultClient, String)>,
    endpoint: Endpoint,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl Webhook {
    /// The webhook of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let vault = config
            .notify
            .key_vault
            .clone()
            .map(|url| KeyVaultClient::new(url, Arc::clone(&http), Arc::clone(&identity)));
        let refusals = Refusals::ConcernOneResource;
        Self {
            secret: vault.zip(config.notify.webhook.clone()),
            endpoint: Endpoint::new("the webhook", Limiter::by_responses(1), refusals),
            http,
            identity,
        }
    }

    /// Checks that the secret holds the URL of a webhook; `None` where no webhook is set.
    /// Posts nothing.
    pub async fn check(&self) -> Option<Result<(), Failure>> {
        let (vault, name) = self.secret.as_ref()?;
        Some(webhook_url(vault, name).await.map(drop))
    }

    /// Posts a message. A failure is logged and delays nothing: the report has the
    /// same facts.
    pub async fn send(&self, message: &[u8]) {
        let Some((vault, name)) = &self.secret else {
            return;
        };
        match self.post(vault, name, message).await {
            Ok(()) => tracing::info!(code = "notified", "posted the changes to the webhook"),
            Err(failure) => tracing::error!(
                code = "notify_failed",
                cause = format!("{}; {}", failure.detail, failure.cause),
                "could not post the changes to the webhook of `NOTIFY_WEBHOOK`; they are in changes.csv"
            ),
        }
    }

    async fn post(
        &self,
        vault: &KeyVaultClient,
        name: &str,
        message: &[u8],
    ) -> Result<(), Failure> {
        let url = webhook_url(vault, name).await?;
        let service = Service {
            name: "the webhook".to_owned(),
            base: url.clone(),
            url_setting: "NOTIFY_WEBHOOK",
            audience: String::new(),
            audience_setting: "NOTIFY_WEBHOOK",
        };
        let outbound = Outbound::new(service, Arc::clone(&self.http), Arc::clone(&self.identity));
        let request = Request::write(Method::POST, url, MAX_BYTES)
            .with_json(Bytes::copy_from_slice(message))
            .anonymous();
        let meaning = |reply: &Reply<'_>| match reply.status() {
            status if status.is_success() => Meaning::Done(()),
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE => Meaning::Failed(refused(reply)),
            _ => reply.standard(),
        };
        let deadline = Instant::now() + TIME;
        outbound
            .call(&self.endpoint, &request, deadline, meaning)
            .await
    }
}

/// The URL is the key, so a refusal is about the URL.
fn refused(reply: &Reply<'_>) -> Failure {
    let detail = format!(
        "the webhook does not accept messages any more (status {}): make a new one in Teams and store its URL in the secret of `NOTIFY_WEBHOOK`",
        reply.status().as_u16()
    );
    reply.failure(Kind::Unusable, Code::WebhookUnusable, detail)
}

async fn webhook_url(vault: &KeyVaultClient, name: &str) -> Result<Url, Failure> {
    let secret = vault.secret(name).await?;
    parse(secret.secret())
        .map_err(|why| Failure::new(Kind::Unusable, Code::WebhookUnusable, why, "the secret"))
}

/// The URL in a secret, if it is that of a Workflows webhook.
///
/// A report is sent nowhere else, no matter who can write the secret.
fn parse(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the secret does not hold a URL")?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() != "https" {
        Err("the secret does not hold an https:// URL")
    } else if HOSTS.iter().any(|suffix| host.ends_with(suffix)) {
        Ok(url)
    } else {
        Err(
            "the URL in the secret is not that of a Workflows webhook; make a new one in Teams with \"Post to a channel when a webhook request is received\"",
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
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://a.environment.api.powerplatform.com/x",
            "https://prod-01.westeurope.logic.azure.com/workflows/x",
            "https://environment.api.powerplatform.com.evil.example/x",
            "https://evil.example/?a.environment.api.powerplatform.com",
            "hello",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
