//! The totals of a report: `summary.json`.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::CoverageReport;
use crate::coverage::{
    Change,
    plan::{self, AI, PlanState},
};

/// Counts of a plan over the enabled subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanCounts {
    /// Name of the plan.
    pub plan: String,
    /// Name in the portal.
    pub label: String,
    /// Subscriptions by state, in the order of [`PlanState::ALL`].
    pub states: BTreeMap<&'static str, usize>,
}

/// The totals of a report. `summary.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CoverageSummary)]
pub struct Summary {
    /// The time at which the facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// The time of the facts that this report is compared with; `None` for the first report
    /// of a history.
    pub since: Option<String>,
    /// Changes since then, by kind.
    pub changes: BTreeMap<&'static str, usize>,
    /// The worst of them, at most [`Summary::MAX_DOWNGRADES`]; `changes.csv` has
    /// them all.
    pub downgrades: Vec<Change>,
    /// Subscriptions that are visible, disabled ones included.
    pub subscriptions: usize,
    /// Those that are not enabled; no other count has them.
    pub disabled_subscriptions: usize,
    /// Enabled subscriptions with Defender for AI on.
    pub ai_on: usize,
    /// Those with it off.
    pub ai_off: usize,
    /// Those without a row of any plan.
    pub ai_not_registered: usize,
    /// Those with rows, but none of Defender for AI.
    pub ai_not_listed: usize,
    /// Those in a cloud without Defender for AI.
    pub ai_not_available: usize,
    /// Those whose Defender for AI could not be read.
    pub ai_not_readable: usize,
    /// AI accounts in enabled subscriptions without Defender for AI; null if not all AI
    /// accounts could be read.
    pub exposed: Option<usize>,
    /// Plans that cost and are on, over all enabled subscriptions.
    pub paid_plans_on: usize,
    /// Rows that Resource Manager corrected.
    pub stale_rows: usize,
    /// Resources that differ from the plan of their subscription.
    pub overrides: usize,
    /// True if everything could be read.
    pub complete: bool,
    /// The reasons why not, a sentence each.
    pub reasons: Vec<String>,
    /// Every plan that is known or that the data have.
    pub plans: Vec<PlanCounts>,
}

impl Summary {
    /// Most downgrades that are listed.
    pub const MAX_DOWNGRADES: usize = 20;
}

impl CoverageReport {
    /// Counts the rows; what is not counted stays.
    pub(crate) fn recalculate_totals(&mut self) {
        let mut counts: BTreeMap<&str, BTreeMap<&'static str, usize>> = BTreeMap::new();
        let (mut exposed, mut paid_plans_on) = (0, 0);
        for row in self.rows.iter().filter(|row| row.subscription.is_enabled()) {
            *counts
                .entry(&row.plan)
                .or_default()
                .entry(row.state.as_str())
                .or_default() += 1;
            if row.exposed {
                exposed += row.ai_accounts.unwrap_or_default();
            }
            let is_free = plan::known(&row.plan).is_some_and(|plan| plan.is_free);
            paid_plans_on += usize::from(row.state == PlanState::On && !is_free);
        }
        let ai = |state: PlanState| {
            let of_plan = counts.get(AI).and_then(|states| states.get(state.as_str()));
            of_plan.copied().unwrap_or_default()
        };
        let disabled = self.by_subscription();
        let disabled = disabled.filter(|rows| !rows[0].subscription.is_enabled());
        let plans = self.plans.iter().map(|plan| PlanCounts {
            plan: plan.name.to_string(),
            label: plan.label.to_string(),
            states: counts.get(&*plan.name).cloned().unwrap_or_default(),
        });
        self.summary = Summary {
            subscriptions: self.by_subscription().count(),
            disabled_subscriptions: disabled.count(),
            ai_on: ai(PlanState::On),
            ai_off: ai(PlanState::Off),
            ai_not_registered: ai(PlanState::NotRegistered),
            ai_not_listed: ai(PlanState::NotListed),
            ai_not_available: ai(PlanState::NotAvailable),
            ai_not_readable: ai(PlanState::NotReadable),
            exposed: self.accounts_are_complete.then_some(exposed),
            paid_plans_on,
            complete: self.summary.reasons.is_empty(),
            plans: plans.collect(),
            ..std::mem::take(&mut self.summary)
        };
    }
}
