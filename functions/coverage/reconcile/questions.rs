//! The questions to Resource Manager that a change raises.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::coverage::{
    CoverageReport,
    baseline::{Baseline, SubscriptionBaseline},
    change::{Change, ChangeKind, compare},
    confirmation::Question,
    plan::AI,
};

/// Contradictions that say nothing yet of what was not asked.
pub(super) const FEW: usize = 5;

/// Returns true if so many of `all` vanished that a lost grant is more likely than a
/// clean-up: more than 5 %.
pub(super) fn are_many(vanished: usize, all: usize) -> bool {
    vanished * 20 > all
}

/// The questions to Resource Manager before changes are reported, at most `most`: Defender
/// for AI with the most accounts first, then vanished subscriptions, then the rest.
pub fn questions(report: &CoverageReport, before: &Baseline, most: usize) -> Vec<Question> {
    let mut asked = BTreeSet::new();
    let mut changes = compare(report, before);
    changes.retain(|change| change.change.is_downgrade() && change.change != ChangeKind::Gone);
    changes.sort_by_key(|change| Reverse(change.ai_accounts));
    let (ai, others): (Vec<Change>, Vec<Change>) =
        changes.into_iter().partition(|change| change.plan == AI);
    let vanished = vanished(report, before).map(|(id, _)| Question::Subscription(id.clone()));
    let vanished: Vec<Question> = if report.subscriptions_are_complete {
        vanished.collect()
    } else {
        Vec::new()
    };
    let plan = |change: Change| Question::Plan(change.subscription_id, change.plan);
    let ai = ai.into_iter().map(plan);
    ai.chain(vanished)
        .chain(others.into_iter().map(plan))
        .filter(|question| asked.insert(question.clone()))
        .take(most)
        .collect()
}

pub(super) fn vanished<'a>(
    report: &CoverageReport,
    before: &'a Baseline,
) -> impl Iterator<Item = (&'a String, &'a SubscriptionBaseline)> {
    let seen: BTreeSet<String> = report
        .by_subscription()
        .map(|rows| rows[0].subscription.subscription_id.clone())
        .collect();
    before
        .subscriptions
        .iter()
        .filter(move |(id, _)| !seen.contains(*id))
}
