//! Advanced hunting: a query read to its last row, or the reason why rows are
//! missing.
//!
//! 100,000 rows, 50 MB and three minutes a query, 45 queries a minute. A larger
//! result is requested in parts. Microsoft Graph by default; the route of the Defender API
//! is being retired.
//! Sources: <https://learn.microsoft.com/graph/api/security-security-runhuntingquery>,
//! <https://learn.microsoft.com/defender-endpoint/api/run-advanced-query-api>

use std::sync::Arc;

use bytes::Bytes;
use functions::{
    health::PROBE,
    query::{Query, Source, part},
};
use reqwest::Method;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;
use tokio::time::Instant;

use super::{DefenderClient, DefenderEndpoint, Found, unusable_answer};
use crate::{
    config::{Config, HuntingRoute},
    outbound::{Code, Failure, HttpClient, Identity, Repeat, Request},
};

/// The service answers 50 MB at most.
const MAX_BYTES: usize = 64 << 20;

/// Most rows of a response; one with this many may lack some.
const MAX_ROWS: usize = 100_000;

/// Queries a minute that each tenant may send.
const CALLS_PER_MINUTE: usize = 45;

/// Most parts that a query is split into.
const MAX_PARTS: usize = 256;

/// Advanced hunting by the route of the settings.
#[derive(Debug)]
pub struct HuntingClient {
    client: Arc<DefenderClient>,
    query: DefenderEndpoint,
    route: HuntingRoute,
}

/// Both spellings of the response; the query names the columns.
#[derive(Deserialize)]
struct Reply<T> {
    #[serde(alias = "Results")]
    results: Vec<T>,
}

/// A share of all devices: those whose id falls on `index` of `of`.
#[derive(Clone, Copy, Debug)]
struct Part {
    of: usize,
    index: usize,
}

impl Part {
    fn of_query(self, query: Query) -> String {
        match self.of {
            1 => query.text.to_owned(),
            of => part(query, of, self.index),
        }
    }

    fn halves(self) -> [Self; 2] {
        let of = self.of * 2;
        [self.index, self.index + self.of].map(|index| Self { of, index })
    }
}

impl HuntingClient {
    /// Hunting in the tenant of the identity.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let route = config.graph.hunting_route;
        let endpoint =
            |role| DefenderEndpoint::limited("advanced hunting", role, CALLS_PER_MINUTE, config);
        let (client, query) = match route {
            HuntingRoute::Graph => (
                DefenderClient::graph(config, http, identity),
                DefenderEndpoint {
                    application: "Microsoft Graph",
                    ..endpoint("ThreatHunting.Read.All")
                },
            ),
            HuntingRoute::Defender => (
                DefenderClient::new(config, http, identity),
                endpoint("AdvancedQuery.Read.All"),
            ),
        };
        Self {
            client,
            query,
            route,
        }
    }

    /// All rows of a query whose rows have a `DeviceId`.
    pub async fn rows<T: DeserializeOwned>(&self, query: Query, deadline: Instant) -> Source<T> {
        let mut rows = Vec::new();
        let mut parts = vec![Part { of: 1, index: 0 }];
        while let Some(part) = parts.pop() {
            match self.part(query, part, deadline).await {
                Ok(found) if found.len() < MAX_ROWS => rows.extend(found),
                Ok(_) if part.of < MAX_PARTS => parts.extend(part.halves()),
                Err(error) if is_too_much(&error) && part.of < MAX_PARTS => {
                    parts.extend(part.halves());
                }
                Ok(_) => {
                    return Source {
                        rows,
                        gap: Some("there are more rows than can be asked for".to_owned()),
                    };
                }
                Err(error) => {
                    tracing::error!(
                        code = error.code.as_str(),
                        cause = error.cause,
                        query = query.name,
                        "{}",
                        error.detail
                    );
                    return Source {
                        rows,
                        gap: Some(error.detail),
                    };
                }
            }
        }
        Source { rows, gap: None }
    }

    /// Sends a query that costs nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn probe(&self, deadline: Instant) -> Result<(), Failure> {
        let all = Part { of: 1, index: 0 };
        let rows = self.part::<IgnoredAny>(PROBE, all, deadline).await;
        rows.map(drop)
    }

    async fn part<T: DeserializeOwned>(
        &self,
        query: Query,
        part: Part,
        deadline: Instant,
    ) -> Result<Vec<T>, Failure> {
        let text = part.of_query(query);
        let (path, body): (&[&str], _) = match self.route {
            HuntingRoute::Graph => (
                &["security", "runHuntingQuery"],
                json!({ "Query": text, "Timespan": "P30D" }),
            ),
            HuntingRoute::Defender => (&["advancedqueries", "run"], json!({ "Query": text })),
        };
        let url = self.client.url(path, None);
        let request = Request::json(Method::POST, url, &body, Repeat::Safe, MAX_BYTES);
        match self.client.call(&self.query, &request, deadline).await? {
            Found::Yes(answer) => read(&answer),
            Found::No => Err(unusable_answer("hunting was not found")),
        }
    }
}

/// Returns true if the result is too large, so that half of it may fit.
///
/// Defender says so, or its response is larger than we read.
fn is_too_much(error: &Failure) -> bool {
    [Code::ResultTooLarge, Code::UpstreamTooLarge].contains(&error.code)
}

fn read<T: DeserializeOwned>(answer: &Bytes) -> Result<Vec<T>, Failure> {
    let reply: Reply<T> = functions::json::read_object(answer)
        .map_err(|_| unusable_answer("the rows of the query are not understood"))?;
    Ok(reply.results)
}
