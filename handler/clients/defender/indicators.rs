//! `GET /api/indicators`: the Indicators of the tenant, here for one hash.
//!
//! 100 calls a minute and 1,500 an hour. `Ti.ReadWrite` shows an application its
//! own Indicators alone, `Ti.ReadWrite.All` everybody's.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-ti-indicators-collection>

use std::sync::Arc;

use functions::hashes::{
    FileHash,
    evidence::{Indicators, read_indicators},
};
use tokio::time::Instant;

use super::{DefenderClient, DefenderError, Endpoint, Found, Resource};
use crate::config::Config;

/// A hash has a handful of Indicators at most.
const MAX_BYTES: usize = 1 << 20;

/// Roles that show everybody's Indicators.
const SEES_ALL: [&str; 2] = ["Ti.ReadWrite.All", "Ti.Read.All"];

/// The Indicators API.
#[derive(Debug)]
pub struct IndicatorsClient {
    defender: Arc<DefenderClient>,
    list: Endpoint,
}

impl IndicatorsClient {
    /// The Indicators API of a tenant.
    pub fn new(config: &Config, defender: Arc<DefenderClient>) -> Self {
        Self {
            defender,
            list: Endpoint::new("the Indicators API", "Ti.ReadWrite.All", config),
        }
    }

    /// The Indicators for any of these hashes of one file.
    ///
    /// # Errors
    /// [`DefenderError`]; also when the answer is not about the hash alone.
    pub async fn of_file(
        &self,
        hashes: &[FileHash],
        deadline: Instant,
    ) -> Result<Indicators, DefenderError> {
        let mut found = Vec::new();
        for hash in hashes {
            let resource = Resource {
                path: &["indicators"],
                // A hash is digits alone: nothing can break out of the literal.
                query: Some(format!("$filter=indicatorValue+eq+'{hash}'")),
                body: None,
                max_bytes: MAX_BYTES,
            };
            let answer = self.defender.ask(&self.list, &resource, deadline).await?;
            let Found::Yes(answer) = answer else {
                continue;
            };
            let more = read_indicators(&answer, *hash).map_err(|error| {
                DefenderError::unusable_answer(&format!("the Indicators: {error}"))
            })?;
            found.extend(more);
        }
        let roles = self.defender.roles(deadline).await?;
        let sees_all = roles.iter().any(|role| SEES_ALL.contains(&role.as_str()));
        Ok(Indicators::new(found, !sees_all))
    }
}
