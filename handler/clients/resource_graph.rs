//! Azure Resource Graph: a query read to its last page, or the reason why what
//! came is not all of it.
//!
//! 15 queries in 5 seconds a principal; the quota headers of every answer are
//! obeyed before a 429 comes.
//! Sources: <https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources>,
//! <https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests>

mod page;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use functions::coverage::Query;
use reqwest::{Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout_at},
};
use url::Url;

use crate::{
    config::{Config, Scope},
    http::{Answer, FetchError, HttpClient},
    identity::Identity,
    retry,
};
use page::{Page, Quota};

/// A reply over 16 MB fails on the side of Azure.
const MAX_BYTES: usize = 24 << 20;

/// Rows of a page; the most that Azure allows.
const PAGE: usize = 1_000;

/// Pages of one query: ten times what the largest tenants have.
const MOST_PAGES: usize = 5_000;

/// Tries of a page that Azure throttles: each waits as long as it is told.
const MOST_THROTTLED: u32 = 20;

/// All rows of a query, and what speaks against them being all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<T> {
    /// The rows, each id once.
    pub rows: Vec<T>,
    /// Why they may not be all, a sentence each.
    pub gaps: Vec<String>,
}

/// Why a query gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct GraphError {
    /// Stable code.
    pub code: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// More for the log.
    pub cause: String,
}

/// Azure Resource Graph.
#[derive(Debug)]
pub struct ResourceGraphClient {
    url: Url,
    audience: String,
    scope: Scope,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
    /// Nothing is asked before this instant: the quota is used up until then.
    not_before: Mutex<Instant>,
}

impl ResourceGraphClient {
    /// A client for the Resource Manager and the scope of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let mut url = config.arm_url.clone();
        url.set_path("/providers/Microsoft.ResourceGraph/resources");
        url.set_query(Some("api-version=2024-04-01"));
        Self {
            url,
            audience: config.arm_audience.clone(),
            scope: config.coverage_scope.clone(),
            http,
            identity,
            not_before: Mutex::new(Instant::now()),
        }
    }

    /// Reads a query to its end. What was read before an error is kept, and the
    /// error is among the gaps.
    pub async fn read<T: DeserializeOwned>(&self, query: Query, deadline: Instant) -> Rows<T> {
        let (mut rows, mut ids) = (Rows::default(), HashSet::new());
        for scope in self.scope.bodies() {
            let part = self.read_scope(query, &scope, deadline).await;
            // A subscription can be named itself and lie below a named group.
            let news = part.rows.into_iter().filter(|row| ids.insert(id_of(row)));
            rows.rows.extend(news);
            rows.gaps.extend(part.gaps);
        }
        Rows {
            rows: typed(rows.rows, query, &mut rows.gaps),
            gaps: rows.gaps,
        }
    }

    async fn read_scope(&self, query: Query, scope: &Value, deadline: Instant) -> Rows<Value> {
        let mut all = Collected::default();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            match self.page(query, scope, token.as_deref(), deadline).await {
                Ok(page) => token = all.take(page),
                Err(error) => {
                    tracing::error!(
                        code = error.code,
                        cause = error.cause,
                        query = query.name,
                        "{}",
                        error.detail
                    );
                    all.gaps.push(error.detail);
                    return all.close(query, false);
                }
            }
            if token.is_none() {
                return all.close(query, true);
            }
        }
        all.gaps
            .push(format!("there are more than {MOST_PAGES} pages"));
        all.close(query, false)
    }

    /// One page, asked for until it comes: what throttles is waited for.
    async fn page(
        &self,
        query: Query,
        scope: &Value,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, GraphError> {
        let (mut throttled, mut failed) = (0, 0);
        loop {
            self.wait_for_quota(deadline).await?;
            let answer = timeout_at(deadline, self.ask(query, scope, token, deadline))
                .await
                .map_err(|_| out_of_time())?;
            let (error, hint) = match answer {
                Ok(answer) => {
                    let quota = Quota::read(&answer.headers);
                    self.obey(quota).await;
                    match (answer.status, Page::read(&answer)) {
                        (StatusCode::OK, Ok(page)) => return Ok(page),
                        (StatusCode::OK, Err(error)) => (error, None),
                        (StatusCode::TOO_MANY_REQUESTS, _) => {
                            throttled += 1;
                            if throttled > MOST_THROTTLED {
                                return Err(page::refused(&answer));
                            }
                            let told = retry::retry_after(&answer.headers, SystemTime::now());
                            let wait = told
                                .or(quota.resets_after)
                                .unwrap_or(Duration::from_secs(5));
                            self.pause(wait.mul_f64(1.0 + fastrand::f64() / 4.0)).await;
                            continue;
                        }
                        (status, _)
                            if status.is_server_error()
                                || status == StatusCode::REQUEST_TIMEOUT =>
                        {
                            (
                                page::refused(&answer),
                                retry::retry_after(&answer.headers, SystemTime::now()),
                            )
                        }
                        _ => return Err(page::refused(&answer)),
                    }
                }
                Err(Failure::Network(error)) => (page::unreachable(&error), None),
                Err(Failure::Final(error)) => return Err(error),
            };
            if failed >= retry::MAX_RETRIES {
                return Err(error);
            }
            self.pause(retry::delay(failed, hint, fastrand::f64()))
                .await;
            failed += 1;
        }
    }

    async fn ask(
        &self,
        query: Query,
        scope: &Value,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut body = scope.clone();
        body["query"] = json!(query.text);
        body["options"] = json!({ "$top": PAGE, "resultFormat": "objectArray" });
        if let Some(token) = token {
            body["options"]["$skipToken"] = json!(token);
        }
        let bearer = self
            .identity
            .token(&self.audience, deadline)
            .await
            .map_err(|error| Failure::Final(no_token(error.detail, error.cause)))?;
        let authorization = bearer.authorization().ok_or_else(|| {
            Failure::Final(no_token(
                "the identity gave an unusable token".into(),
                String::new(),
            ))
        })?;
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, authorization);
        let json = header::HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json.clone());
        headers.insert(header::ACCEPT, json);
        *request.body_mut() = Some(body.to_string().into());
        self.http
            .fetch(request, MAX_BYTES, deadline)
            .await
            .map_err(Failure::Network)
    }

    async fn wait_for_quota(&self, deadline: Instant) -> Result<(), GraphError> {
        let not_before = *self.not_before.lock().await;
        if not_before >= deadline {
            return Err(out_of_time());
        }
        sleep_until(not_before).await;
        Ok(())
    }

    /// With nothing left everybody waits until the quota is there again.
    async fn obey(&self, quota: Quota) {
        if quota.remaining == Some(0) {
            let wait = quota.resets_after.unwrap_or(Duration::from_secs(5));
            self.pause(wait.mul_f64(1.0 + fastrand::f64() / 4.0)).await;
        }
    }

    async fn pause(&self, wait: Duration) {
        let mut not_before = self.not_before.lock().await;
        *not_before = (*not_before).max(Instant::now() + wait);
    }
}

enum Failure {
    Network(FetchError),
    Final(GraphError),
}

fn out_of_time() -> GraphError {
    GraphError {
        code: "deadline_exceeded",
        detail: "Azure Resource Graph did not answer everything within the time of the run"
            .to_owned(),
        cause: "deadline".to_owned(),
    }
}

fn no_token(detail: String, cause: String) -> GraphError {
    GraphError {
        code: "identity_unavailable",
        detail,
        cause,
    }
}

/// Pages of one query and scope, and what the completeness check needs.
#[derive(Debug, Default)]
struct Collected {
    rows: Vec<Value>,
    ids: HashSet<String>,
    tokens: HashSet<String>,
    gaps: Vec<String>,
    counted: u64,
    total: Option<u64>,
}

impl Collected {
    /// Adds a page; the token of the next one.
    fn take(&mut self, page: Page) -> Option<String> {
        let mut gap = |text: &str| {
            if !self.gaps.iter().any(|gap| gap == text) {
                self.gaps.push(text.to_owned());
            }
        };
        if page.limit_hit {
            gap(
                "more subscriptions are visible than one query covers; name management groups in `COVERAGE_SCOPE`",
            );
        }
        if page.truncated && page.skip_token.is_none() {
            gap("Azure cut the answer off and gave no way to the rest");
        }
        if self.total.is_some_and(|total| total != page.total) {
            gap("the number of rows changed while they were read");
        }
        if page.count != page.rows.len() as u64 {
            gap("a page has another number of rows than it says");
        }
        self.counted += page.count;
        self.total = Some(page.total);
        for row in page.rows {
            if self.ids.insert(id_of(&row)) {
                self.rows.push(row);
            } else {
                gap("a row came twice, so another may be missing");
            }
        }
        let token = page.skip_token?;
        if self.tokens.insert(token.clone()) {
            Some(token)
        } else {
            gap("the pages turn in a circle");
            None
        }
    }

    /// The rows; `ended` when the last page was read.
    fn close(mut self, query: Query, ended: bool) -> Rows<Value> {
        let total = self.total.unwrap_or_default();
        if ended && self.counted != total {
            self.gaps
                .push(format!("{} of {total} rows came", self.counted));
        }
        let named = |gap: String| format!("{}: {gap}", query.name.replace('_', " "));
        Rows {
            rows: self.rows,
            gaps: self.gaps.into_iter().map(named).collect(),
        }
    }
}

/// The id of a row, as ids are compared.
fn id_of(row: &Value) -> String {
    let id = row["id"].as_str().unwrap_or_default();
    id.to_ascii_lowercase()
}

/// Rows as the record that the query is for; one that is none is told.
fn typed<T: DeserializeOwned>(rows: Vec<Value>, query: Query, gaps: &mut Vec<String>) -> Vec<T> {
    let before = rows.len();
    let typed: Vec<T> = rows
        .into_iter()
        .filter_map(|row| serde_json::from_value(row).ok())
        .collect();
    if typed.len() < before {
        let lost = before - typed.len();
        gaps.push(format!("{}: {lost} rows have another shape", query.name));
    }
    typed
}
