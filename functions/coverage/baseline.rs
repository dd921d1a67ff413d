//! The facts that the next report is compared with: the last readable state of every plan,
//! stored next to the files of a run as `baseline.json`.
//!
//! A plan that could not be read keeps the state that was read last, so that an
//! incomplete run hides no change from the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CoverageReport, PlanCoverage, PlanState, Summary, plan::AI};

/// Most runs in the history.
const MAX_POINTS: usize = 100;

/// The last readable state of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The scope it is about; another one cannot be compared with it.
    pub scope: String,
    /// By id.
    pub subscriptions: BTreeMap<String, SubscriptionBaseline>,
    /// True if the list of subscriptions was never complete. Then a subscription that is
    /// missing here may have existed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_short: bool,
    /// The runs up to here, the oldest first.
    pub history: Vec<Point>,
}

/// The known facts of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionBaseline {
    /// Its name.
    pub name: String,
    /// True if it was not enabled.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_disabled: bool,
    /// AI accounts that were exposed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exposed: usize,
    /// True if exposure was never read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exposure_unread: bool,
    /// Plans that were on; another that was read was not.
    #[serde(default)]
    pub on: BTreeMap<String, EnabledPlan>,
    /// Plans that were never read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}

/// A plan that was on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnabledPlan {
    /// Its sub-plan; empty for the full plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub_plan: String,
    /// Its extensions that were on, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

/// The totals of a run, for the line over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The time at which its facts were read.
    pub as_of: String,
    /// Subscriptions that were visible.
    pub subscriptions: usize,
    /// Enabled subscriptions with Defender for AI on.
    pub ai_on: usize,
    /// Exposed AI accounts; null if not all could be read.
    #[serde(default)]
    pub exposed: Option<usize>,
    /// True if everything could be read.
    pub complete: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde wants"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde wants"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Point {
    fn of(summary: &Summary) -> Self {
        Self {
            as_of: summary.as_of.clone(),
            subscriptions: summary.subscriptions,
            ai_on: summary.ai_on,
            exposed: summary.exposed,
            complete: summary.complete,
        }
    }
}

impl Baseline {
    /// Names of the plans that were on somewhere, or not read.
    pub fn plans(&self) -> BTreeSet<String> {
        let of = |known: &'_ SubscriptionBaseline| -> Vec<String> {
            known.on.keys().chain(&known.unread).cloned().collect()
        };
        self.subscriptions.values().flat_map(of).collect()
    }

    /// The baseline for the next report: the states of this one, and those of `before` that
    /// this one could not read.
    pub fn after(report: &CoverageReport, before: Option<&Self>, scope: &str) -> Self {
        let before = before.filter(|before| before.scope.eq_ignore_ascii_case(scope));
        let subscriptions: BTreeMap<String, SubscriptionBaseline> = report
            .by_subscription()
            .map(|rows| {
                let id = &rows[0].subscription.subscription_id;
                let known = before.and_then(|before| before.subscriptions.get(id));
                // One that a baseline does not have is new, not unread.
                let is_new = known.is_none() && before.is_some_and(|before| !before.is_short);
                (id.clone(), SubscriptionBaseline::of(rows, known, is_new))
            })
            .collect();
        let mut history = before
            .map(|before| before.history.clone())
            .unwrap_or_default();
        history.push(Point::of(&report.summary));
        history.drain(..history.len().saturating_sub(MAX_POINTS));
        Self {
            scope: scope.to_owned(),
            subscriptions,
            is_short: !report.subscriptions_are_complete
                && before.is_none_or(|before| before.is_short),
            history,
        }
    }
}

impl SubscriptionBaseline {
    fn of(rows: &[PlanCoverage], before: Option<&Self>, is_new: bool) -> Self {
        // What a subscription that is not in use lists says nothing.
        let is_enabled = rows[0].subscription.is_enabled();
        let mut known = Self {
            name: rows[0].subscription.name.clone(),
            is_disabled: !is_enabled,
            ..Self::default()
        };
        for row in rows {
            let plan = row.plan.to_string();
            match (row.state, before) {
                (PlanState::NotReadable, None) => {
                    known.unread.insert(plan);
                }
                (PlanState::On, _) => {
                    let on = EnabledPlan {
                        sub_plan: row.sub_plan.clone(),
                        extensions: row.extensions_on.clone(),
                    };
                    known.on.insert(plan, on);
                }
                (state, Some(before)) if state == PlanState::NotReadable || !is_enabled => {
                    before.carry(plan, &mut known)
                }
                _ => {}
            }
            if &*row.plan == AI {
                let unclear =
                    row.state == PlanState::NotReadable || !is_enabled || row.ai_accounts.is_none();
                match before {
                    _ if row.exposed => known.exposed = row.ai_accounts.unwrap_or_default(),
                    Some(before) if unclear => {
                        known.exposed = before.exposed;
                        known.exposure_unread = before.exposure_unread;
                    }
                    _ => known.exposure_unread = unclear && is_enabled && !is_new,
                }
            }
        }
        known
    }

    /// Hands on what is known of a plan.
    fn carry(&self, plan: String, to: &mut Self) {
        if self.unread.contains(&plan) {
            to.unread.insert(plan);
        } else if let Some(on) = self.on.get(&plan) {
            to.on.insert(plan, on.clone());
        }
    }
}
