//! `GET /api/indicators`: the Indicators of the tenant, here for one hash.
//!
//! 100 calls a minute and 1,500 an hour. `Ti.ReadWrite` shows an application only
//! its own Indicators, `Ti.ReadWrite.All` those of everyone.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-ti-indicators-collection>

use std::sync::Arc;

use functions::hashes::{
    FileHash,
    evidence::{Indicators, read_indicators},
};
use tokio::time::Instant;

use super::{DefenderClient, DefenderEndpoint, Found, unusable_answer};
use crate::{
    config::Config,
    outbound::{Failure, Request},
};

/// A hash has a handful of Indicators at most.
const MAX_BYTES: usize = 1 << 20;

/// Roles that show the Indicators of everyone.
const SEES_ALL: [&str; 2] = ["Ti.ReadWrite.All", "Ti.Read.All"];

/// The Indicators API.
#[derive(Debug)]
pub struct IndicatorsClient {
    defender: Arc<DefenderClient>,
    list: DefenderEndpoint,
}

impl IndicatorsClient {
    /// The Indicators API of a tenant.
    pub fn new(config: &Config, defender: Arc<DefenderClient>) -> Self {
        Self {
            defender,
            list: DefenderEndpoint::new("the Indicators API", "Ti.ReadWrite.All", config),
        }
    }

    /// The Indicators for any of these hashes of one file.
    ///
    /// # Errors
    /// [`Failure`]; also when the response is not only about the hash.
    pub async fn of_file(
        &self,
        hashes: &[FileHash],
        deadline: Instant,
    ) -> Result<Indicators, Failure> {
        let mut found = Vec::new();
        for hash in hashes {
            // A hash is only digits: nothing can break out of the literal.
            let query = format!("$filter=indicatorValue+eq+'{hash}'");
            let url = self.defender.url(&["indicators"], Some(&query));
            let request = Request::get(url, MAX_BYTES);
            let answer = self.defender.call(&self.list, &request, deadline).await?;
            let Found::Yes(answer) = answer else {
                continue;
            };
            let more = read_indicators(&answer, *hash)
                .map_err(|error| unusable_answer(&format!("the Indicators: {error}")))?;
            found.extend(more);
        }
        let roles = self.defender.roles(deadline).await?;
        let sees_all = roles.iter().any(|role| SEES_ALL.contains(&role.as_str()));
        Ok(Indicators::new(found, !sees_all))
    }
}
