//! Defender for AI in every subscription, as text for a shell: from a report, or from its
//! files.

use std::cmp::Reverse;

use serde::Deserialize;

use super::{CoverageReport, PlanCoverage, Summary, plan::AI};

/// A line about a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AiPlan {
    plan: String,
    /// State of the plan, as in `coverage.csv`.
    pub state: String,
    /// AI accounts; empty when they could not be read.
    pub ai_accounts: String,
    /// `true` if AI accounts are exposed.
    pub exposed: String,
    /// GUID of the subscription.
    pub subscription_id: String,
    /// The display name, which anyone with rights on the subscription can choose.
    pub subscription_name: String,
    /// `Enabled` for one in use.
    pub subscription_state: String,
    /// Extensions that are off, separated by blanks.
    pub extensions_off: String,
}

impl AiPlan {
    /// The lines of a report, exposed ones first.
    pub fn of(report: &CoverageReport) -> Vec<Self> {
        let mut rows: Vec<&PlanCoverage> =
            report.rows.iter().filter(|row| &*row.plan == AI).collect();
        rows.sort_by_key(|row| (!row.exposed, Reverse(row.ai_accounts), row.state));
        let line = |row: &&PlanCoverage| Self {
            plan: AI.to_owned(),
            state: row.state.as_str().to_owned(),
            ai_accounts: row
                .ai_accounts
                .map_or("not read".to_owned(), |number| number.to_string()),
            exposed: row.exposed.to_string(),
            subscription_id: row.subscription.subscription_id.clone(),
            subscription_name: row.subscription.name.clone(),
            subscription_state: row.subscription.state.clone(),
            extensions_off: row.extensions_off.join(" "),
        };
        rows.iter().map(line).collect()
    }

    /// The lines of a `coverage.csv`, exposed ones first.
    ///
    /// # Errors
    /// [`csv::Error`] if the file is not a `coverage.csv`.
    pub fn read(csv: &str) -> Result<Vec<Self>, csv::Error> {
        let text = csv.trim_start_matches('\u{feff}');
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Result<Vec<Self>, csv::Error> = reader.deserialize().collect();
        let mut rows: Vec<Self> = rows?.into_iter().filter(|row| row.plan == AI).collect();
        rows.sort_by_key(|row| {
            let accounts = row.ai_accounts.parse::<usize>().unwrap_or_default();
            (!row.is_exposed(), Reverse(accounts))
        });
        Ok(rows)
    }

    /// Returns true if AI accounts are exposed.
    pub fn is_exposed(&self) -> bool {
        self.exposed == "true"
    }

    /// Returns true if the subscription is enabled.
    pub fn is_enabled(&self) -> bool {
        let state = &self.subscription_state;
        state.is_empty() || state.eq_ignore_ascii_case("enabled")
    }
}

/// The totals of `summary.json` that are shown at a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// The time at which the facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// True if everything could be read.
    pub complete: bool,
    /// The reasons why not, a sentence each.
    pub reasons: Vec<String>,
    subscriptions: usize,
    disabled_subscriptions: usize,
    ai_on: usize,
    ai_off: usize,
    ai_not_registered: usize,
    ai_not_listed: usize,
    ai_not_available: usize,
    ai_not_readable: usize,
    exposed: Option<usize>,
    paid_plans_on: usize,
}

impl Totals {
    /// The totals of a report.
    pub fn of(summary: &Summary) -> Self {
        let value = serde_json::to_value(summary).unwrap_or_default();
        serde_json::from_value(value).unwrap_or_default()
    }

    /// Two sentences.
    pub fn text(&self) -> String {
        let exposed = self.exposed.map_or_else(
            || "an unknown number of".to_owned(),
            |exposed| exposed.to_string(),
        );
        format!(
            "{} subscriptions ({} not enabled): Defender for AI on in {}, off in {}, not registered in {}, not listed in {}, not available in {}, not readable in {}\n\
             {exposed} AI accounts exposed; {} paid plans on",
            self.subscriptions,
            self.disabled_subscriptions,
            self.ai_on,
            self.ai_off,
            self.ai_not_registered,
            self.ai_not_listed,
            self.ai_not_available,
            self.ai_not_readable,
            self.paid_plans_on
        )
    }
}
