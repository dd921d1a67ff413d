//! Plans whose state in Resource Graph differs from the one in Resource Manager.

use std::collections::{BTreeMap, BTreeSet};

use super::gone::note_unreadable;
use super::questions::{FEW, are_many};
use crate::coverage::{
    CoverageReport, PlanState,
    baseline::Baseline,
    change::compare,
    confirmation::{Answer, Question},
    plan::{self},
};

/// Puts the answer of Resource Manager in place of a row that contradicts it.
pub(super) fn correct_plans(
    report: &mut CoverageReport,
    before: &Baseline,
    answers: &BTreeMap<Question, Answer>,
) {
    let asked: BTreeSet<(String, String)> = compare(report, before)
        .into_iter()
        .filter(|change| change.change.is_downgrade())
        .map(|change| (change.subscription_id, change.plan))
        .collect();
    let (mut unreadable, mut unasked, mut answered) = (BTreeSet::new(), Vec::new(), 0);
    let stale = report.summary.stale_rows;
    for (subscription, plan) in asked {
        let answer = answers.get(&Question::Plan(subscription.clone(), plan.clone()));
        answered += usize::from(answer.is_some());
        match answer {
            Some(Answer::Plan(pricing)) if plan::state_of(pricing) == PlanState::On => {
                report.correct(&subscription, &plan, Some(pricing));
                report.summary.stale_rows += 1;
            }
            Some(Answer::Refused) => {
                report.correct(&subscription, &plan, None);
                unreadable.insert(subscription);
            }
            Some(_) => {}
            None => unasked.push((subscription, plan)),
        }
    }
    note_unreadable(report, unreadable.len());
    // If Resource Graph is contradicted so often, no unconfirmed state of it counts.
    let contradicted = report.summary.stale_rows - stale;
    if are_many(contradicted, answered) && contradicted >= FEW && !unasked.is_empty() {
        report.summary.reasons.push(format!(
            "Resource Manager contradicts Resource Graph in {contradicted} of {answered} plans, so {} more that were not asked count as not readable",
            unasked.len()
        ));
        for (subscription, plan) in unasked {
            report.correct(&subscription, &plan, None);
        }
    }
}
