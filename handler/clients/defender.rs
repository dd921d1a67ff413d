//! Microsoft Defender for Endpoint, and the security part of Microsoft Graph: what
//! their responses mean.
//!
//! Source: <https://learn.microsoft.com/defender-endpoint/api/common-errors>

mod answers;
pub mod files;
pub mod hunting;
pub mod indicators;
pub mod machines;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

use crate::{
    config::Config,
    outbound::{
        Code, Endpoint, Failure, HttpClient, Identity, Kind, Outbound, Refusals, Reply, Request,
        Service, limiter::Limiter,
    },
};

/// Concurrent calls to one endpoint, so that a slow one cannot take all of them.
const MAX_IN_FLIGHT: usize = 32;

/// One documented endpoint with the role that it needs.
#[derive(Debug)]
pub(crate) struct DefenderEndpoint {
    endpoint: Endpoint,
    /// The application role that it needs.
    role: &'static str,
    /// The application whose role that is.
    application: &'static str,
}

impl DefenderEndpoint {
    /// An endpoint with the limits of the settings.
    fn new(name: &'static str, role: &'static str, config: &Config) -> Self {
        Self::limited(name, role, usize::MAX, config)
    }

    /// The time until the next call is allowed; `None` if that is now.
    fn wait(&self) -> Option<Duration> {
        self.endpoint.wait()
    }

    /// The same with a limit on the calls a minute.
    fn limited(
        name: &'static str,
        role: &'static str,
        calls_per_minute: usize,
        config: &Config,
    ) -> Self {
        let limiter = Limiter::new(
            config.defender.calls_per_minute.min(calls_per_minute),
            config.defender.calls_per_hour,
            MAX_IN_FLIGHT,
        );
        Self {
            endpoint: Endpoint::new(name, limiter, Refusals::ConcernEveryCall),
            role,
            application: "WindowsDefenderATP",
        }
    }
}

/// After a response about another file, connections of earlier calls are not used for this
/// time: an empty list or a 404 on one of them has no identity, so it could be about any file.
const MISTRUST: Duration = Duration::from_secs(60);

/// A JSON response, or the documented 404.
#[derive(Debug)]
pub(crate) enum Found {
    /// 200 with JSON.
    Yes(Bytes),
    /// 404 as Defender documents it.
    No,
}

/// The Defender for Endpoint API, or Microsoft Graph.
#[derive(Debug)]
pub struct DefenderClient {
    outbound: Outbound,
    /// First segment of every path.
    root: &'static str,
    /// The time of the last response about something other than was asked for.
    mixed_up: Mutex<Option<Instant>>,
}

impl DefenderClient {
    /// A client for the API that the settings name.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Arc<Self> {
        let service = Service {
            name: "Microsoft Defender".to_owned(),
            base: config.defender.url.clone(),
            url_setting: "DEFENDER_API_URL",
            audience: config.defender.audience.clone(),
            audience_setting: "DEFENDER_API_AUDIENCE",
        };
        Arc::new(Self {
            outbound: Outbound::new(service, http, identity),
            root: "api",
            mixed_up: Mutex::default(),
        })
    }

    /// A client for the security part of Microsoft Graph.
    pub fn graph(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Arc<Self> {
        let service = Service {
            name: "Microsoft Graph".to_owned(),
            base: config.graph.url.clone(),
            url_setting: "GRAPH_URL",
            audience: config.graph.audience.clone(),
            audience_setting: "GRAPH_AUDIENCE",
        };
        Arc::new(Self {
            outbound: Outbound::new(service, http, identity),
            root: "v1.0",
            mixed_up: Mutex::default(),
        })
    }

    /// The application roles in the identity's token; empty for a person's.
    ///
    /// # Errors
    /// [`Failure`] when there is no token.
    pub(crate) async fn roles(&self, deadline: Instant) -> Result<Vec<String>, Failure> {
        let token = self.outbound.token(deadline).await?;
        Ok(token.claims.roles.clone())
    }

    /// A URL of the API: segments after its root, and the query.
    fn url(&self, path: &[&str], query: Option<&str>) -> Url {
        let segments: Vec<&str> = std::iter::once(self.root)
            .chain(path.iter().copied())
            .collect();
        self.outbound.service().url(&segments, query)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Failure`], after `deadline` at the latest. An error never becomes a result.
    async fn call(
        &self,
        endpoint: &DefenderEndpoint,
        request: &Request,
        deadline: Instant,
    ) -> Result<Found, Failure> {
        let meaning = |reply: &Reply<'_>| answers::meaning(reply, endpoint);
        let alone;
        let request = match self.are_mixed_up() {
            true => {
                alone = request.clone().on_new_connection();
                &alone
            }
            false => request,
        };
        self.outbound
            .call(&endpoint.endpoint, request, deadline, meaning)
            .await
    }

    /// Returns true if a response since `instant` was about something other than was asked
    /// for.
    fn mixed_up_since(&self, instant: Instant) -> bool {
        self.mixed_up().is_some_and(|last| last >= instant)
    }

    /// Returns true for a while after such a response: then every call has a connection of
    /// its own.
    fn are_mixed_up(&self) -> bool {
        self.mixed_up()
            .is_some_and(|last| last.elapsed() < MISTRUST)
    }

    fn note_mixed_up(&self) {
        *self.mixed_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn mixed_up(&self) -> Option<Instant> {
        *self.mixed_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response that cannot be about what was asked for.
fn unusable_answer(why: &str) -> Failure {
    let detail = format!(
        "the response from Microsoft Defender is not what it documents: {why}; nothing is concluded from it"
    );
    Failure::new(Kind::Protocol, Code::UpstreamProtocol, detail, why)
}
