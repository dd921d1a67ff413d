//! The coverage report: a row for each plan of each subscription, the exposed accounts, and
//! the totals. Rows start from the list of subscriptions, so one that was never registered
//! is included.

mod join;
mod row;
mod summary;

use std::{collections::BTreeSet, sync::Arc};

use super::{
    AI_RESOURCES, AiResource, Change, Estate, PRICINGS, Point, Pricing, SUBSCRIPTIONS, Subscription,
};
use join::{by_subscription, count_accounts, note_unlisted_subscriptions, of_subscription, plans};
use row::{Facts, Plan, coverage};

pub(crate) use crate::report::text::counted;
use join::first;
pub use row::{Cloud, PlanCoverage};
pub use summary::{PlanCounts, Summary};

/// A report, sorted, so that the same facts give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CoverageReport {
    /// The totals.
    pub summary: Summary,
    /// By subscription, then by plan.
    pub rows: Vec<PlanCoverage>,
    /// AI accounts and the resources that belong to them, by id.
    pub ai_resources: Vec<AiResource>,
    /// Rows of single resources, by id.
    pub overrides: Vec<Pricing>,
    /// The changes since the previous report, the worst first.
    pub changes: Vec<Change>,
    /// The runs before, the oldest first.
    pub history: Vec<Point>,
    /// True if the list of subscriptions is complete.
    pub subscriptions_are_complete: bool,
    /// True if the list of AI accounts is complete.
    pub accounts_are_complete: bool,
    plans: Vec<Plan>,
    cloud: Cloud,
}

impl CoverageReport {
    /// Joins the facts; `as_of` is when they were read.
    pub fn new(estate: Estate, cloud: Cloud, as_of: &str) -> Self {
        let mut gaps = estate.gaps;
        let (pricings, mut overrides) = by_subscription(estate.pricings, &mut gaps);
        overrides.sort_by(|one, other| one.id.cmp(&other.id));
        let accounts = count_accounts(&estate.ai_resources);
        let mut subscriptions = estate.subscriptions;
        subscriptions.sort_by(|one, other| one.subscription_id.cmp(&other.subscription_id));
        let is_short = note_unlisted_subscriptions(&subscriptions, &pricings, &accounts, &mut gaps);
        let mut ai_resources = estate.ai_resources;
        ai_resources.sort_by(|one, other| one.id.cmp(&other.id));
        let mut report = Self {
            summary: Summary {
                as_of: as_of.to_owned(),
                overrides: overrides.len(),
                reasons: gaps,
                ..Summary::default()
            },
            rows: Vec::new(),
            ai_resources,
            overrides,
            changes: Vec::new(),
            history: Vec::new(),
            subscriptions_are_complete: !is_short && !estate.partial.contains(SUBSCRIPTIONS.name),
            accounts_are_complete: !estate.partial.contains(AI_RESOURCES.name),
            plans: plans(&pricings, &estate.known_plans),
            cloud,
        };
        let pricings_are_complete = !estate.partial.contains(PRICINGS.name);
        for subscription in subscriptions {
            let id = subscription.subscription_id.as_str();
            let plans = of_subscription(&pricings, id);
            let facts = Facts {
                pricings: (!plans.is_empty()).then_some(plans),
                is_complete: pricings_are_complete,
                // None that were found are none only where all were read.
                accounts: accounts
                    .get(id)
                    .copied()
                    .or(report.accounts_are_complete.then_some(0)),
            };
            let rows = report.rows_of(subscription, facts);
            report.rows.extend(rows);
        }
        report.recalculate_totals();
        report
    }

    /// Rows of exposed subscriptions, most AI accounts first.
    pub fn exposed(&self) -> Vec<&PlanCoverage> {
        let mut exposed: Vec<_> = self.rows.iter().filter(|row| row.exposed).collect();
        exposed.sort_by_key(|row| {
            (
                std::cmp::Reverse(row.ai_accounts),
                &row.subscription.subscription_id,
            )
        });
        exposed
    }

    /// The rows of each subscription.
    pub fn by_subscription(&self) -> impl Iterator<Item = &[PlanCoverage]> {
        self.rows.chunk_by(|one, other| {
            one.subscription.subscription_id == other.subscription.subscription_id
        })
    }

    /// Replaces a row by the response of Resource Manager; without one, the plan is not
    /// readable. The totals stay as they were.
    pub(super) fn correct(&mut self, subscription: &str, plan: &str, pricing: Option<&Pricing>) {
        let (plans, cloud) = (&self.plans, self.cloud);
        let wanted = self
            .rows
            .iter_mut()
            .find(|row| row.subscription.subscription_id == subscription && &*row.plan == plan);
        let (Some(row), Some(plan)) = (wanted, plans.iter().find(|one| &*one.name == plan)) else {
            return;
        };
        let facts = Facts {
            pricings: pricing.map(std::slice::from_ref),
            is_complete: false,
            accounts: row.ai_accounts,
        };
        *row = coverage(Arc::clone(&row.subscription), plan, facts, cloud);
    }

    /// Adds subscriptions whose plans cannot be read. The totals stay as they were.
    pub(super) fn add_unreadable(&mut self, subscriptions: Vec<Subscription>) {
        let facts = Facts {
            pricings: None,
            is_complete: false,
            accounts: None,
        };
        for subscription in subscriptions {
            let rows = self.rows_of(subscription, facts);
            self.rows.extend(rows);
        }
        // Stable: the plans of a subscription stay in their order.
        self.rows.sort_by(|one, other| {
            let (one, other) = (&one.subscription, &other.subscription);
            if Arc::ptr_eq(one, other) {
                std::cmp::Ordering::Equal
            } else {
                one.subscription_id.cmp(&other.subscription_id)
            }
        });
    }

    /// Adds the subscriptions of the scope that Azure did not list, so that one the
    /// identity cannot read is not left out.
    pub fn add_missing_subscriptions(&mut self, ids: &[String]) {
        let seen: BTreeSet<&str> = self
            .by_subscription()
            .map(|rows| rows[0].subscription.subscription_id.as_str())
            .collect();
        let missing: BTreeSet<&String> = ids
            .iter()
            .filter(|id| !seen.contains(id.as_str()))
            .collect();
        if missing.is_empty() {
            return;
        }
        self.summary.reasons.push(format!(
            "{} not visible ({}): grant the identity Reader there, or narrow the scope",
            counted(
                missing.len(),
                "subscription in `COVERAGE_SCOPE` is",
                "subscriptions in `COVERAGE_SCOPE` are"
            ),
            first(missing.iter().map(|id| id.as_str()))
        ));
        let named = |id: &String| Subscription {
            subscription_id: id.clone(),
            state: "Enabled".to_owned(),
            ..Subscription::default()
        };
        let missing = missing.into_iter().map(named).collect();
        self.add_unreadable(missing);
        self.recalculate_totals();
    }

    fn rows_of(&self, subscription: Subscription, facts: Facts<'_>) -> Vec<PlanCoverage> {
        let subscription = Arc::new(subscription);
        self.plans
            .iter()
            .map(|plan| coverage(Arc::clone(&subscription), plan, facts, self.cloud))
            .collect()
    }
}

#[cfg(test)]
mod tests;
