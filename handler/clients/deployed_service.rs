//! The deployed service, used by a command: its HTTP API with the caller's own
//! token.
//!
//! docs/api.md is the contract. A response from another version or another service is
//! refused completely: a verdict is never used for a hash other than the one asked for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use functions::hashes::{FileHash, HashResult, ItemStatus, LookupAnswer, RULE_SET};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::{
    config::Server,
    outbound::{
        Code, Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Outbound, Refusals, Repeat,
        Reply, Request, Service, TimeLimits, limiter::Limiter,
    },
};

/// Time for one try; the service responds within 215 seconds.
const TRY_TIME: Duration = Duration::from_secs(235);

/// Time for a call with its retries; a `Retry-After` is never undercut.
const CALL_TIME: Duration = Duration::from_secs(900);

/// Largest response: a page of a report has megabytes.
const MAX_BYTES: usize = 256 << 20;

/// Calls at a time.
const MAX_IN_FLIGHT: usize = 4;

/// The deployed service.
#[derive(Debug)]
pub struct ServiceClient {
    server: Server,
    outbound: Outbound,
    endpoint: Endpoint,
}

/// The problem body of the service.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl ServiceClient {
    /// A client for the service; sends nothing yet.
    pub fn new(server: Server, identity: Arc<Identity>) -> Self {
        let service = Service {
            name: server.url.to_string(),
            base: server.url.clone(),
            url_setting: "--server",
            audience: server.audience.clone(),
            audience_setting: "API_AUDIENCE",
        };
        let http = Arc::new(HttpClient::new(TimeLimits {
            first_byte: TRY_TIME,
            total: TRY_TIME,
            ..TimeLimits::patient()
        }));
        let limiter = Limiter::by_responses(MAX_IN_FLIGHT);
        let refusals = Refusals::ConcernEveryCall;
        Self {
            server,
            outbound: Outbound::new(service, http, identity),
            endpoint: Endpoint::new("the deployed service", limiter, refusals),
        }
    }

    /// A file of a report: `path` such as `coverage/summary.json`, below `/api/`.
    ///
    /// # Errors
    /// [`Failure`]; a retry helps where `detail` says so.
    pub async fn file(&self, path: &str) -> Result<Bytes, Failure> {
        self.call(&Request::get(self.url(path, None), MAX_BYTES))
            .await
    }

    /// JSON below `/api/`, with its query.
    ///
    /// # Errors
    /// [`Failure`]; also for a response from another version.
    pub async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<T, Failure> {
        let request = Request::get(self.url(path, query), MAX_BYTES);
        read(&self.call(&request).await?)
    }

    /// Looks up hashes, as many as one call answers; what it could not check in time
    /// is reported as throttled. One result for each hash, in the order asked.
    ///
    /// # Errors
    /// [`Failure`]; also for a response about other hashes, by other rules, or
    /// without the evidence that `include` lists.
    pub async fn look_up(
        &self,
        hashes: &[FileHash],
        include: &str,
    ) -> Result<LookupAnswer, Failure> {
        let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
        let query = (!include.is_empty()).then(|| format!("include={include}"));
        let url = self.url("hashes", query.as_deref());
        let body = json!({ "hashes": hashes });
        let request = Request::json(Method::POST, url, &body, Repeat::Safe, MAX_BYTES);
        let answer: LookupAnswer = read(&self.call(&request).await?)?;
        let is_one_each = answer.results.len() == hashes.len();
        let mut pairs = answer.results.iter().zip(&hashes);
        let is_of_them =
            pairs.all(|(result, hash)| result.hash == *hash && is_consistent(result, include));
        if is_one_each && is_of_them && answer.rule_set == RULE_SET {
            Ok(answer)
        } else {
            Err(other_version())
        }
    }

    fn url(&self, path: &str, query: Option<&str>) -> Url {
        let segments: Vec<&str> = std::iter::once("api").chain(path.split('/')).collect();
        self.outbound.service().url(&segments, query)
    }

    async fn call(&self, request: &Request) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + CALL_TIME;
        let meaning = |reply: &Reply<'_>| self.meaning(reply);
        let result = self
            .outbound
            .call(&self.endpoint, request, deadline, meaning);
        result.await.map_err(|failure| self.explained(failure))
    }

    /// The meaning of a response; App Service has its own bodies for refusals.
    fn meaning(&self, reply: &Reply<'_>) -> Meaning<Bytes> {
        if reply.status().is_success() {
            return Meaning::Done(reply.response.body.clone());
        }
        match reply.standard() {
            Meaning::Failed(failure) => Meaning::Failed(self.problem(reply, failure)),
            Meaning::Retry {
                failure,
                max_retries,
            } => Meaning::Retry {
                failure: self.problem(reply, failure),
                max_retries,
            },
            other => other,
        }
    }

    /// The failure in the words of the service.
    fn problem(&self, reply: &Reply<'_>, failure: Failure) -> Failure {
        let problem: Problem = reply.read().unwrap_or_default();
        let status = reply.status().as_u16();
        let (url, audience) = (&self.server.url, &self.server.audience);
        let (code, detail) = if !problem.code.is_empty() {
            (
                Code::of_service(problem.code),
                format!("{url} answers: {}", problem.detail),
            )
        } else if status == 403 {
            (
                Code::ServiceRefused,
                format!(
                    "{url} refuses the token for {audience} with status {status}: check `API_AUDIENCE`, and that App Service authentication lets this caller in"
                ),
            )
        } else {
            (
                Code::ServiceUnreachable,
                format!(
                    "{url} responds with status {status} and not as Defender Functions would: check `--server`"
                ),
            )
        };
        Failure {
            code,
            detail,
            ..failure
        }
    }

    /// Adds what a person at a shell has to check.
    fn explained(&self, mut failure: Failure) -> Failure {
        let audience = &self.server.audience;
        match failure.kind {
            Kind::NoToken => {
                failure.detail +=
                    &format!("; the token is for {audience}, the first value of `API_AUDIENCE`");
            }
            Kind::Unauthorized => {
                failure.code = Code::ServiceRefused;
                failure.detail += &format!(
                    ". The token is for {audience}: check that App Service authentication lets this caller in"
                );
            }
            _ if failure.code == Code::UpstreamUnavailable => {
                failure.code = Code::ServiceUnreachable;
            }
            _ => {}
        }
        failure
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    functions::json::read_object(body).map_err(|_| other_version())
}

/// A response that this version does not understand, so that nothing in it is used.
pub fn other_version() -> Failure {
    let detail = "this version does not understand the response from the service, so nothing in it is used; use the executable of the same version";
    Failure::new(
        Kind::Protocol,
        Code::ServiceVersion,
        detail,
        "another version",
    )
}

/// Returns true if a result has a verdict exactly when its status says so.
///
/// A result with a verdict also needs the evidence that was asked for.
fn is_consistent(result: &HashResult, include: &str) -> bool {
    let evidence = &result.evidence;
    let has = |source: &str| match source {
        "stats" => evidence.stats.is_some(),
        "alerts" => evidence.alerts.is_some(),
        "devices" => evidence.devices.is_some(),
        _ => evidence.indicators.is_some(),
    };
    match result.status {
        ItemStatus::Ok => {
            let mut sources = include.split(',').filter(|source| !source.is_empty());
            result.verdict.is_some() && sources.all(has)
        }
        _ => result.verdict.is_none() && result.error.is_some(),
    }
}
