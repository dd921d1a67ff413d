//! The report after Resource Manager confirmed or contradicted what Resource Graph says.

mod gone;
mod plans;
mod questions;

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    CoverageReport, PlanState, Summary,
    baseline::Baseline,
    change::{Change, ChangeKind, compare},
    confirmation::{Answer, Question},
    plan::{self, AI},
};
use gone::judge_vanished;
use plans::correct_plans;

pub use gone::ScopeMembership;
pub use questions::questions;

/// A report with the changes since `before`.
pub fn reconcile(
    mut report: CoverageReport,
    before: &Baseline,
    answers: &BTreeMap<Question, Answer>,
    within: &ScopeMembership,
) -> CoverageReport {
    correct_plans(&mut report, before, answers);
    let gone = judge_vanished(&mut report, before, answers, within);
    report.recalculate_totals();
    let mut changes = compare(&report, before);
    for change in changes
        .iter_mut()
        .filter(|change| change.change.is_downgrade())
    {
        let question = Question::Plan(change.subscription_id.clone(), change.plan.clone());
        change.confirmed = Some(match answers.get(&question) {
            Some(Answer::Plan(pricing)) => plan::state_of(pricing) == PlanState::Off,
            Some(Answer::NotFound) => true,
            _ => false,
        });
    }
    changes.extend(gone);
    changes.sort_by_cached_key(|change| {
        let is_ai = change.plan == AI;
        (
            change.change,
            !is_ai,
            Reverse(change.ai_accounts),
            change.subscription_id.clone(),
            change.plan.clone(),
        )
    });
    mark_rows(&mut report, &changes);
    report.summary.since = before.history.last().map(|point| point.as_of.clone());
    for change in &changes {
        *report
            .summary
            .changes
            .entry(change.change.as_str())
            .or_default() += 1;
    }
    report.summary.downgrades = changes
        .iter()
        .filter(|change| change.change.is_downgrade())
        .take(Summary::MAX_DOWNGRADES)
        .cloned()
        .collect();
    report.changes = changes;
    report.history.clone_from(&before.history);
    report
}

/// Writes the worst change of each row into the row.
fn mark_rows(report: &mut CoverageReport, changes: &[Change]) {
    let mut worst: BTreeMap<(&str, &str), ChangeKind> = BTreeMap::new();
    for change in changes {
        let of = (change.subscription_id.as_str(), change.plan.as_str());
        worst.entry(of).or_insert(change.change);
    }
    for row in &mut report.rows {
        let id = row.subscription.subscription_id.as_str();
        let of_plan = worst
            .get(&(id, &*row.plan))
            .or_else(|| worst.get(&(id, "")));
        row.change = of_plan.copied();
    }
}

#[cfg(test)]
mod tests;
