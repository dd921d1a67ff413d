//! Azure Resource Graph: a query read to its last page, or the reason why rows are
//! missing.
//!
//! 15 queries in 5 seconds a principal; the quota headers of every response
//! are obeyed before a 429 comes.
//! Sources: <https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources>,
//! <https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests>

mod collected;
mod page;

use std::{sync::Arc, time::Duration};

use functions::query::{Query, Record};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    config::{Config, Scope},
    outbound::{
        Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Outbound, Refusals, Repeat, Reply,
        Request, Service, limiter::Limiter,
    },
};
use collected::{Collected, Part};
use page::{Page, Quota};

/// Largest response; Azure itself fails one over 16 MB.
const MAX_BYTES: usize = 24 << 20;

/// Rows of a page; the most that Azure allows.
const PAGE: usize = 1_000;

/// Calls at a time.
const MAX_IN_FLIGHT: usize = 8;

/// Time until the quota is available again, where a response does not say.
const RESET_TIME: Duration = Duration::from_secs(5);

/// Pages of one query: ten times what the largest tenants have.
const MAX_PAGES: usize = 5_000;

/// Tries of a page that Azure throttles; each waits for the time that Azure asks for.
const MAX_THROTTLED: u32 = 20;

/// The rows of a query, and the reasons why some may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<T> {
    /// The rows, each id once.
    pub rows: Vec<T>,
    /// Why rows may be missing, one sentence each.
    pub gaps: Vec<String>,
    /// The failure that ended the reading; `None` where it ended at the last row.
    pub failure: Option<Kind>,
}

/// Azure Resource Graph.
#[derive(Debug)]
pub struct ResourceGraphClient {
    outbound: Outbound,
    /// Pauses every caller while the quota is used up.
    endpoint: Endpoint,
    scope: Scope,
}

impl ResourceGraphClient {
    /// A client for the Resource Manager and the scope of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let service = Service {
            name: "Azure Resource Graph".to_owned(),
            base: config.resource_manager.url.clone(),
            url_setting: "ARM_URL",
            audience: config.resource_manager.audience.clone(),
            audience_setting: "ARM_AUDIENCE",
        };
        let limiter = Limiter::by_responses(MAX_IN_FLIGHT);
        // Another scope of the settings may be readable.
        let refusals = Refusals::ConcernOneResource;
        Self {
            outbound: Outbound::new(service, http, identity),
            endpoint: Endpoint::new("Azure Resource Graph", limiter, refusals),
            scope: config.coverage.scope.clone(),
        }
    }

    /// Reads a query to its end. Rows read before an error are kept, and the error
    /// is among the gaps.
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
        for _ in 0..MAX_PAGES {
            match self.page(query, scope, token.as_deref(), deadline).await {
                Ok(page) => token = part.take(page, all),
                Err(error) => {
                    tracing::error!(
                        code = error.code.as_str(),
                        cause = error.cause,
                        query = query.name,
                        "{}",
                        error.detail
                    );
                    all.failure = Some(error.kind);
                    all.gaps.push(error.detail);
                    return;
                }
            }
            if token.is_none() {
                return part.close(all);
            }
        }
        all.gaps
            .push(format!("there are more than {MAX_PAGES} pages"));
    }

    /// One page. Without quota, every caller waits until there is some again.
    async fn page(
        &self,
        query: Query,
        scope: &Value,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, Failure> {
        let mut body = scope.clone();
        body["query"] = json!(query.text);
        body["options"] = json!({ "$top": PAGE, "resultFormat": "objectArray" });
        if let Some(token) = token {
            body["options"]["$skipToken"] = json!(token);
        }
        let path = ["providers", "Microsoft.ResourceGraph", "resources"];
        let service = self.outbound.service();
        let url = service.url(&path, Some("api-version=2024-04-01"));
        let request = Request::json(Method::POST, url, &body, Repeat::Safe, MAX_BYTES);
        let meaning = |reply: &Reply<'_>| {
            let quota = Quota::read(&reply.response.headers);
            if quota.remaining == Some(0) && reply.status() == StatusCode::OK {
                let wait = quota.resets_after.unwrap_or(RESET_TIME);
                self.endpoint
                    .pause(wait.mul_f64(1.0 + fastrand::f64() / 4.0));
            }
            meaning(reply, quota)
        };
        self.outbound
            .call(&self.endpoint, &request, deadline, meaning)
            .await
    }
}

/// The meaning of a response.
fn meaning(reply: &Reply<'_>, quota: Quota) -> Meaning<Page> {
    match reply.status() {
        StatusCode::OK => match Page::read(reply) {
            Ok(page) => Meaning::Done(page),
            Err(failure) => Meaning::Retry {
                failure,
                max_retries: crate::outbound::retry::MAX_RETRIES,
            },
        },
        StatusCode::TOO_MANY_REQUESTS => {
            let failure = reply.throttled();
            let wait = failure.retry_after.or(quota.resets_after);
            Meaning::Retry {
                failure: failure.retry_in(wait.unwrap_or(RESET_TIME)),
                max_retries: MAX_THROTTLED,
            }
        }
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => Meaning::Failed(page::refused(reply)),
        _ => reply.standard(),
    }
}
