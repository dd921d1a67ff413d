//! What a report is compared with: the last readable state of every plan, kept
//! beside the files of a run as `baseline.json`.
//!
//! A plan that could not be read keeps the state that was read last, so that an
//! incomplete run hides no change from the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CoverageReport, PlanCoverage, PlanState, Summary, plan::AI};

/// Most runs that are told of.
const MOST_POINTS: usize = 100;

/// The last readable state of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The scope it is about; another one cannot be compared with it.
    pub scope: String,
    /// By id.
    pub subscriptions: BTreeMap<String, Known>,
    /// The runs up to here, the oldest first.
    pub history: Vec<Point>,
}

/// What is known of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Its name.
    pub name: String,
    /// AI accounts that lay open.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exposed: usize,
    /// Plans that were on; another that was read was not.
    #[serde(default)]
    pub on: BTreeMap<String, On>,
    /// Plans that were never read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}

/// A plan that was on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct On {
    /// Its sub-plan; empty for the full plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub_plan: String,
    /// Its extensions that were on, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

/// The sums of a run, for the line over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When its facts were read.
    pub as_of: String,
    /// Subscriptions that were visible.
    pub subscriptions: usize,
    /// Enabled ones with the AI plan on.
    pub ai_on: usize,
    /// AI accounts that lay open.
    pub exposed: usize,
    /// Whether everything could be read.
    pub complete: bool,
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
    /// What the next report is compared with: the states of this one, and those
    /// of `before` where this one could not read them. `kept` are subscriptions
    /// that vanished without being told as gone.
    pub fn after(
        report: &CoverageReport,
        before: Option<&Self>,
        scope: &str,
        kept: &BTreeSet<String>,
    ) -> Self {
        let empty = Self::default();
        let before = before
            .filter(|before| before.scope == scope)
            .unwrap_or(&empty);
        let mut subscriptions: BTreeMap<String, Known> = report
            .by_subscription()
            .map(|rows| {
                let id = &rows[0].subscription.subscription_id;
                (id.clone(), Known::of(rows, before.subscriptions.get(id)))
            })
            .collect();
        for id in kept {
            if let Some(known) = before.subscriptions.get(id) {
                subscriptions
                    .entry(id.clone())
                    .or_insert_with(|| known.clone());
            }
        }
        let mut history = before.history.clone();
        history.push(Point::of(&report.summary));
        history.drain(..history.len().saturating_sub(MOST_POINTS));
        Self {
            scope: scope.to_owned(),
            subscriptions,
            history,
        }
    }
}

impl Known {
    fn of(rows: &[PlanCoverage], before: Option<&Self>) -> Self {
        let mut known = Self {
            name: rows[0].subscription.name.clone(),
            ..Self::default()
        };
        // What a subscription that is not in use lists says nothing.
        let is_enabled = rows[0].subscription.is_enabled();
        for row in rows {
            let plan = row.plan.to_string();
            match (row.state, before) {
                (PlanState::NotReadable, None) => {
                    known.unread.insert(plan);
                }
                (PlanState::On, _) => {
                    let on = On {
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
                let unclear = row.state == PlanState::NotReadable || !is_enabled;
                known.exposed = match before {
                    Some(before) if unclear => before.exposed,
                    _ if row.exposed => row.ai_accounts,
                    _ => 0,
                };
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
