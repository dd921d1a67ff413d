//! Microsoft Defender for Endpoint: one call with everything around it.
//!
//! Token, call limits, time limits, retries, the breaker, and what each status
//! means. Source: <https://learn.microsoft.com/defender-endpoint/api/common-errors>

mod answers;
mod call;
pub mod error;
pub mod files;
pub mod hunting;
pub mod indicators;
pub mod machines;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use error::{DefenderError, Kind};

use call::Call;

use crate::{
    breaker::Breaker, config::Config, http::HttpClient, identity::Identity, limiter::Limiter,
};

/// Calls to one endpoint at a time, so that a slow one cannot take everything.
const MOST_IN_FLIGHT: usize = 32;

/// How much earlier than its caller's deadline a call ends by itself.
const MARGIN: Duration = Duration::from_millis(20);

/// One documented endpoint with limits of its own.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name in messages.
    name: &'static str,
    /// The application role that it needs.
    role: &'static str,
    /// The application whose role that is.
    application: &'static str,
    limiter: Arc<Limiter>,
    breaker: Breaker<DefenderError>,
}

impl Endpoint {
    /// An endpoint with the limits of the settings.
    pub fn new(name: &'static str, role: &'static str, config: &Config) -> Self {
        let limiter = Limiter::new(
            config.defender_calls_per_minute,
            config.defender_calls_per_hour,
            MOST_IN_FLIGHT,
        );
        Self {
            name,
            role,
            application: "WindowsDefenderATP",
            limiter,
            breaker: Breaker::new(),
        }
    }

    /// The same with at most so many calls a minute.
    fn at_most(self, calls_per_minute: usize, config: &Config) -> Self {
        let limiter = Limiter::new(
            config.defender_calls_per_minute.min(calls_per_minute),
            config.defender_calls_per_hour,
            MOST_IN_FLIGHT,
        );
        Self { limiter, ..self }
    }
}

impl Endpoint {
    fn tell_opened(&self, opened: bool) {
        if opened {
            tracing::warn!(
                code = "breaker_open",
                endpoint = self.name,
                "Defender fails repeatedly, pausing calls"
            );
        }
    }
}

/// What is asked for at an endpoint.
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    /// Segments of the path after the API's root.
    pub path: &'a [&'a str],
    /// The query; `None` for none.
    pub query: Option<String>,
    /// JSON that is posted; `None` for a GET. A retry may post it twice.
    pub body: Option<String>,
    /// Longest answer that is read.
    pub max_bytes: usize,
}

/// A JSON answer, or that there is nothing of that name.
#[derive(Debug)]
pub enum Found {
    /// 200 with valid JSON.
    Yes(Bytes),
    /// 404 as Defender documents it.
    No,
}

/// The Defender for Endpoint API.
#[derive(Debug)]
pub struct DefenderClient {
    base: Url,
    /// First segment of every path.
    root: &'static str,
    audience: String,
    /// The setting of that audience, for messages.
    audience_setting: &'static str,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl DefenderClient {
    /// A client for the API that the settings name.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self {
            base: config.defender_api_url.clone(),
            root: "api",
            audience: config.defender_api_audience.clone(),
            audience_setting: "DEFENDER_API_AUDIENCE",
            http,
            identity,
        })
    }

    /// A client for the security part of Microsoft Graph.
    pub fn graph(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self {
            base: config.graph_url.clone(),
            root: "v1.0",
            audience: config.graph_audience.clone(),
            audience_setting: "GRAPH_AUDIENCE",
            http,
            identity,
        })
    }

    /// The application roles in the identity's token; empty for a person's.
    ///
    /// # Errors
    /// [`DefenderError`] when there is no token.
    pub async fn roles(&self, deadline: Instant) -> Result<Vec<String>, DefenderError> {
        let token = self.identity.token(&self.audience, deadline).await?;
        Ok(token.claims.roles.clone())
    }

    /// Asks for a resource, with GET or, where it has a body, with POST.
    ///
    /// # Errors
    /// [`DefenderError`], after `deadline` at the latest. Never an answer made
    /// up from an error.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        resource: &Resource<'_>,
        deadline: Instant,
    ) -> Result<Found, DefenderError> {
        endpoint
            .breaker
            .check()
            .map_err(|(error, left)| error.while_open(left))?;
        let call = Call {
            client: self,
            endpoint,
            resource,
            // What ends the call from within says more than the bound around it.
            deadline: deadline.checked_sub(MARGIN).unwrap_or(deadline),
            began: Instant::now(),
        };
        let result = timeout_at(deadline, call.run())
            .await
            .unwrap_or_else(|_| Err(DefenderError::deadline()));
        match &result {
            Ok(_) => endpoint.breaker.succeeded(),
            // Told by the breaker itself: nothing new.
            Err(error) if error.is_echo => {}
            Err(error) if error.kind == Kind::Rejected => endpoint.breaker.succeeded(),
            Err(error) if error.kind.concerns_every_call() => endpoint.breaker.open(error.clone()),
            Err(error) if error.kind == Kind::Unavailable => {
                endpoint.tell_opened(endpoint.breaker.gave_up(error.clone()));
            }
            Err(_) => {}
        }
        result
    }
}
