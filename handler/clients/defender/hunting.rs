//! Advanced hunting: a query read to its last row, or the reason why what came is
//! not all of it.
//!
//! 100,000 rows, 50 MB and three minutes a query, 45 queries a minute. What is more
//! is asked for in parts. Microsoft Graph by default; the route of the Defender API
//! is being retired.
//! Sources: <https://learn.microsoft.com/graph/api/security-security-runhuntingquery>,
//! <https://learn.microsoft.com/defender-endpoint/api/run-advanced-query-api>

use std::sync::Arc;

use bytes::Bytes;
use functions::{
    coverage::Query,
    health::PROBE,
    vdi::hygiene::{Source, part},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    DefenderClient, DefenderError, Endpoint, Found, Resource,
    answers::{self, RESULT_TOO_LARGE},
};
use crate::{
    config::{Config, HuntingRoute},
    http::HttpClient,
    identity::Identity,
};

/// The service answers 50 MB at most.
const MAX_BYTES: usize = 64 << 20;

/// Rows of an answer; one that has so many may lack some.
const MOST_ROWS: usize = 100_000;

/// Queries a minute that every tenant may make.
const CALLS_PER_MINUTE: usize = 45;

/// Parts that a query is asked for in, at most.
const MOST_PARTS: usize = 256;

/// Advanced hunting by the route of the settings.
#[derive(Debug)]
pub struct HuntingClient {
    client: Arc<DefenderClient>,
    query: Endpoint,
    route: HuntingRoute,
}

/// Both spellings of the answer; the names of the columns are the query's own.
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
        let route = config.hunting_route;
        let endpoint = |role| {
            Endpoint::new("advanced hunting", role, config).at_most(CALLS_PER_MINUTE, config)
        };
        let (client, query) = match route {
            HuntingRoute::Graph => (
                DefenderClient::graph(config, http, identity),
                Endpoint {
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
                Ok(found) if found.len() < MOST_ROWS => rows.extend(found),
                Ok(_) if part.of < MOST_PARTS => parts.extend(part.halves()),
                Err(error) if is_too_much(&error) && part.of < MOST_PARTS => {
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
                        code = error.code,
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

    /// Asks something that costs nothing.
    ///
    /// # Errors
    /// [`DefenderError`].
    pub async fn probe(&self, deadline: Instant) -> Result<(), DefenderError> {
        let whole = Part { of: 1, index: 0 };
        let rows = self.part::<IgnoredAny>(PROBE, whole, deadline).await;
        rows.map(drop)
    }

    async fn part<T: DeserializeOwned>(
        &self,
        query: Query,
        part: Part,
        deadline: Instant,
    ) -> Result<Vec<T>, DefenderError> {
        let text = part.of_query(query);
        let (path, body): (&[&str], _) = match self.route {
            HuntingRoute::Graph => (
                &["security", "runHuntingQuery"],
                json!({ "Query": text, "Timespan": "P30D" }),
            ),
            HuntingRoute::Defender => (&["advancedqueries", "run"], json!({ "Query": text })),
        };
        let resource = Resource {
            path,
            query: None,
            body: Some(body.to_string()),
            max_bytes: MAX_BYTES,
        };
        match self.client.ask(&self.query, &resource, deadline).await? {
            Found::Yes(answer) => read(&answer),
            Found::No => Err(DefenderError::unusable_answer("hunting was not found")),
        }
    }
}

/// Whether half of the rows might come: Defender says so, or its answer is larger
/// than we read.
fn is_too_much(error: &DefenderError) -> bool {
    [RESULT_TOO_LARGE, "upstream_too_large"].contains(&error.code)
}

fn read<T: DeserializeOwned>(answer: &Bytes) -> Result<Vec<T>, DefenderError> {
    let reply: Reply<T> = answers::parse(answer)
        .map_err(|_| DefenderError::unusable_answer("the rows of the query are not understood"))?;
    Ok(reply.results)
}
