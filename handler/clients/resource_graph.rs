//! Azure Resource Graph: a query read to its last page, or the reason why what
//! came is not all of it.
//!
//! 15 queries in 5 seconds a principal; the quota headers of every answer are
//! obeyed before a 429 comes.
//! Sources: <https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources>,
//! <https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests>

mod page;

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, SystemTime},
};

use functions::coverage::{Query, Record};
use reqwest::{Method, Request, StatusCode, header};
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
    /// Whether a gap is that the identity may not read.
    pub is_refused: bool,
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
    pub async fn read<T: Record>(&self, query: Query, deadline: Instant) -> Rows<T> {
        let mut all = Collected::default();
        for scope in self.scope.bodies() {
            self.read_scope(query, &scope, deadline, &mut all).await;
        }
        all.into_rows(query)
    }

    async fn read_scope<T: Record>(
        &self,
        query: Query,
        scope: &Value,
        deadline: Instant,
        all: &mut Collected<T>,
    ) {
        let (mut part, mut token) = (Part::default(), None);
        for _ in 0..MOST_PAGES {
            match self.page(query, scope, token.as_deref(), deadline).await {
                Ok(page) => token = part.take(page, all),
                Err(error) => {
                    tracing::error!(
                        code = error.code,
                        cause = error.cause,
                        query = query.name,
                        "{}",
                        error.detail
                    );
                    all.is_refused |= error.code == "missing_permission";
                    all.gaps.push(error.detail);
                    return;
                }
            }
            if token.is_none() {
                return part.close(all);
            }
        }
        all.gaps
            .push(format!("there are more than {MOST_PAGES} pages"));
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
                            self.pause(retry::spread(wait, fastrand::f64())).await;
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

/// The rows of a query, each id once: a subscription can be named itself and lie
/// below a named group.
#[derive(Debug)]
struct Collected<T> {
    rows: Vec<T>,
    ids: HashSet<u64>,
    hasher: RandomState,
    /// Rows that are no record of the query.
    misshapen: usize,
    gaps: Vec<String>,
    is_refused: bool,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            ids: HashSet::new(),
            hasher: RandomState::new(),
            misshapen: 0,
            gaps: Vec::new(),
            is_refused: false,
        }
    }
}

impl<T: Record> Collected<T> {
    fn note(&mut self, gap: &str) {
        if !self.gaps.iter().any(|known| known == gap) {
            self.gaps.push(gap.to_owned());
        }
    }

    /// Adds a record; one that another scope had is left out.
    fn add(&mut self, row: T, id: u64) {
        if self.ids.insert(id) {
            self.rows.push(row);
        }
    }

    fn into_rows(mut self, query: Query) -> Rows<T> {
        if self.misshapen > 0 {
            let gap = format!("{} rows have another shape", self.misshapen);
            self.gaps.push(gap);
        }
        let named = |gap: String| format!("{}: {gap}", query.name.replace('_', " "));
        Rows {
            rows: self.rows,
            gaps: self.gaps.into_iter().map(named).collect(),
            is_refused: self.is_refused,
        }
    }
}

/// What the completeness check needs of the pages of one scope.
#[derive(Debug, Default)]
struct Part {
    /// Hashes of the ids as ids are compared: twice the same is an error once in
    /// some hundred million estates of 200,000 rows, and then only too careful.
    ids: HashSet<u64>,
    tokens: HashSet<String>,
    counted: u64,
    total: Option<u64>,
}

impl Part {
    /// Adds a page; the token of the next one.
    fn take<T: Record>(&mut self, page: Page, all: &mut Collected<T>) -> Option<String> {
        if page.limit_hit {
            all.note(
                "more subscriptions are visible than one query covers; name management groups in `COVERAGE_SCOPE`",
            );
        }
        if page.truncated && page.skip_token.is_none() {
            all.note("Azure cut the answer off and gave no way to the rest");
        }
        if self.total.is_some_and(|total| total != page.total) {
            all.note("the number of rows changed while they were read");
        }
        if page.count != page.rows.len() as u64 {
            all.note("a page has another number of rows than it says");
        }
        self.counted += page.count;
        self.total = Some(page.total);
        for row in page.rows {
            let Ok(row) = serde_json::from_str::<T>(row.get()) else {
                all.misshapen += 1;
                continue;
            };
            let id = all.hasher.hash_one(row.id().to_ascii_lowercase());
            if self.ids.insert(id) {
                all.add(row, id);
            } else {
                all.note("a row came twice, so another may be missing");
            }
        }
        let token = page.skip_token?;
        if !self.tokens.insert(token.clone()) {
            all.note("the pages turn in a circle");
            return None;
        }
        if self.counted > page.total {
            all.note("more rows came than there are; the rest was not asked for");
            return None;
        }
        Some(token)
    }

    /// After the last page.
    fn close<T: Record>(&self, all: &mut Collected<T>) {
        let total = self.total.unwrap_or_default();
        if self.counted != total {
            all.gaps
                .push(format!("{} of {total} rows came", self.counted));
        }
    }
}
