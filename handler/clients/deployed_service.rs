//! The deployed service, asked by a command: its HTTP API with the caller's own
//! token.
//!
//! docs/api.md is the contract. What another version or another service would say
//! is refused whole: a verdict is never taken for another hash than the one asked
//! for. A call that was put off is made again after its `Retry-After`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use functions::hashes::{FileHash, HashResult, ItemStatus, LookupAnswer, RULE_SET};
use reqwest::{Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    config::Server,
    http::{Answer, FetchError, HttpClient, TimeLimits},
    identity::Identity,
    retry,
};

/// The service answers within 215 seconds; a page has megabytes.
const TIME: Duration = Duration::from_secs(235);
const MAX_BYTES: usize = 256 << 20;

/// A call that took longer than this is not made again.
const LONG: Duration = Duration::from_secs(60);

/// Longest wait before a call that was put off is made again.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Statuses after which a call is made again; the host and what is before it
/// have some of their own.
const PUT_OFF: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// The deployed service.
#[derive(Debug)]
pub struct ServiceClient {
    server: Server,
    http: HttpClient,
    identity: Arc<Identity>,
}

/// Why the service gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ServiceError {
    /// Code of the problem, or `service_unreachable`.
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
}

/// The problem body that the service answers with.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl ServiceClient {
    /// A client for the service; asks nothing yet.
    pub fn new(server: Server, identity: Arc<Identity>) -> Self {
        Self {
            server,
            http: HttpClient::new(TimeLimits {
                first_byte: TIME,
                total: TIME,
                ..TimeLimits::patient()
            }),
            identity,
        }
    }

    /// A file of a report: `path` such as `coverage/summary.json`, below `/api/`.
    ///
    /// # Errors
    /// [`ServiceError`]; a retry helps where `detail` says so.
    pub async fn file(&self, path: &str) -> Result<Bytes, ServiceError> {
        Ok(self.ask(Method::GET, path, None, None).await?.body)
    }

    /// JSON below `/api/`, with its query.
    ///
    /// # Errors
    /// [`ServiceError`]; also for an answer of another version.
    pub async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<T, ServiceError> {
        read(&self.ask(Method::GET, path, query, None).await?)
    }

    /// Looks up hashes, as many as one call answers; what it could not ask in time
    /// is told as throttled. One result for each hash, in the order asked.
    ///
    /// # Errors
    /// [`ServiceError`]; also for an answer about other hashes, by other rules, or
    /// without the evidence that `include` lists.
    pub async fn look_up(
        &self,
        hashes: &[FileHash],
        include: &str,
    ) -> Result<LookupAnswer, ServiceError> {
        let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
        let body = json!({ "hashes": hashes }).to_string();
        let query = (!include.is_empty()).then(|| format!("include={include}"));
        let answer = self.ask(Method::POST, "hashes", query.as_deref(), Some(body));
        let answer: LookupAnswer = read(&answer.await?)?;
        let is_one_each = answer.results.len() == hashes.len();
        let mut pairs = answer.results.iter().zip(&hashes);
        let is_of_them =
            pairs.all(|(result, hash)| result.hash == *hash && is_whole(result, include));
        if is_one_each && is_of_them && answer.rule_set == RULE_SET {
            Ok(answer)
        } else {
            Err(other_version())
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<String>,
    ) -> Result<Answer, ServiceError> {
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let request = self
                .request(method.clone(), path, query, body.clone())
                .await?;
            let deadline = Instant::now() + TIME;
            let (error, hint) = match self.http.fetch(request, MAX_BYTES, deadline).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => {
                    let hint = retry::retry_after(&answer.headers, std::time::SystemTime::now());
                    let error = self.problem(&answer);
                    if !PUT_OFF.contains(&answer.status) {
                        return Err(error);
                    }
                    (error, hint)
                }
                Err(error @ (FetchError::TooLarge(_) | FetchError::Tls(_))) => {
                    return Err(self.unreachable(&error.to_string()));
                }
                Err(error) => (self.unreachable(&error.to_string()), None),
            };
            if tries >= retry::MAX_RETRIES || begun.elapsed() > LONG {
                return Err(error);
            }
            sleep(retry::delay(tries, hint, fastrand::f64()).min(LONGEST_WAIT)).await;
            tries += 1;
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<String>,
    ) -> Result<Request, ServiceError> {
        let deadline = Instant::now() + TIME;
        let token = self.identity.token(&self.server.audience, deadline).await;
        let token = token.map_err(|error| ServiceError {
            code: "identity_unavailable".to_owned(),
            detail: format!(
                "{}; the token is for {}, the first value of `API_AUDIENCE`",
                error.detail, self.server.audience
            ),
        })?;
        let mut url = self.server.url.clone();
        url.set_path(&format!("/api/{path}"));
        url.set_query(query);
        let mut request = Request::new(method, url);
        if let Some(authorization) = token.authorization() {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = Some(body.into());
        }
        Ok(request)
    }

    /// What the service says; App Service refuses with bodies of its own.
    fn problem(&self, answer: &Answer) -> ServiceError {
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = answer.status.as_u16();
        let (url, audience) = (&self.server.url, &self.server.audience);
        match (problem.code.is_empty(), status) {
            (false, _) => ServiceError {
                code: problem.code,
                detail: format!("{url} answers: {}", problem.detail),
            },
            (true, 401 | 403) => ServiceError {
                code: "service_refused".to_owned(),
                detail: format!(
                    "{url} refuses the token for {audience} with status {status}: check `API_AUDIENCE`, and that this caller is let in by App Service authentication"
                ),
            },
            (true, _) => ServiceError {
                code: "service_unreachable".to_owned(),
                detail: format!(
                    "{url} answers with status {status} and nothing that Defender Functions would say: check `--server`"
                ),
            },
        }
    }

    fn unreachable(&self, cause: &str) -> ServiceError {
        ServiceError {
            code: "service_unreachable".to_owned(),
            detail: format!("{} cannot be reached: {cause}", self.server.url),
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ServiceError> {
    serde_json::from_slice(&answer.body).map_err(|_| other_version())
}

/// An answer that this version does not understand, so that nothing of it is told.
pub fn other_version() -> ServiceError {
    ServiceError {
        code: "service_version".to_owned(),
        detail: "the service answers otherwise than this version understands, so nothing of its answer is told; use the executable of the same version".to_owned(),
    }
}

/// Whether a result has a verdict exactly when it says so, and with it the evidence
/// that was asked for.
fn is_whole(result: &HashResult, include: &str) -> bool {
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
