//! The library in the test's own process, for tests that need a clock they can
//! move, or their own functions.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use handler::{
    config::{Config, Purpose},
    outbound::{HttpClient, Identity, TimeLimits},
    server::{App, Functions, Gate, listen},
    services::Services,
};
use sandbox::Sandbox;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    host::{RawReply, post_envelope},
    wire::InvocationFailure,
};

/// Requests tokens from the sandbox's identity endpoint.
///
/// The SDK's credential would do the same, but it reads the environment of the
/// process, which tests share.
#[derive(Debug)]
struct SandboxCredential {
    endpoint: String,
}

#[async_trait]
impl TokenCredential for SandboxCredential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let refuse = |why: String| {
            azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, why)
        };
        let resource = scopes
            .first()
            .and_then(|scope| scope.strip_suffix("/.default"))
            .unwrap_or_default();
        let url = format!(
            "{}?api-version=2019-08-01&resource={resource}",
            self.endpoint
        );
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let response = client
            .get(url)
            .header("X-IDENTITY-HEADER", sandbox::IDENTITY_HEADER)
            .send()
            .await;
        let response = response
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| refuse(error.to_string()))?;
        let body: Value = response
            .json()
            .await
            .map_err(|error| refuse(error.to_string()))?;
        let seconds = body["expires_on"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("expires_on");
        let expires =
            azure_core::time::OffsetDateTime::from_unix_timestamp(seconds).expect("a date");
        Ok(AccessToken::new(
            body["access_token"].as_str().expect("a token").to_owned(),
            expires,
        ))
    }
}

/// The identity that the sandbox provides.
pub fn identity(cloud: &Sandbox) -> Arc<Identity> {
    let endpoint = cloud
        .variables()
        .into_iter()
        .find(|(name, _)| *name == "IDENTITY_ENDPOINT")
        .expect("set")
        .1;
    let make = move || {
        Ok(Arc::new(SandboxCredential {
            endpoint: endpoint.clone(),
        }) as Arc<dyn TokenCredential>)
    };
    Identity::from_factory(Box::new(make), "this is a test")
}

/// The services on a sandbox.
pub fn services(cloud: &Sandbox) -> Services {
    let variables = cloud
        .variables()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let config = Config::read(&variables, Purpose::Command).expect("good settings");
    Services::with(
        &config,
        Arc::new(HttpClient::new(TimeLimits::default())),
        identity(cloud),
    )
}

/// Advances the clock that lifetimes and limits use.
pub async fn time_passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Functions of a test, served on loopback by the product's router.
pub struct Stage {
    pub port: u16,
    client: reqwest::Client,
}

impl Stage {
    pub async fn start(functions: Functions) -> Self {
        Self::start_with(functions, listen::HEADER_TIME).await
    }

    /// Starts with another time limit for the header of a request.
    pub async fn start_with(functions: Functions, header_time: Duration) -> Self {
        let app: App = functions.build(Gate::Open).expect("good names");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(listen::serve(
            listener,
            app,
            header_time,
            std::future::pending(),
        ));
        Self {
            port,
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
        }
    }

    /// Posts an envelope as the host does.
    pub async fn post(
        &self,
        function: &str,
        envelope: &Value,
    ) -> Result<RawReply, InvocationFailure> {
        post_envelope(&self.client, self.port, function, envelope).await
    }

    /// `GET` of a path.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client
            .get(super::host::build_and_get_uri(self.port, path))
            .send()
            .await
            .expect("an answer")
    }
}
