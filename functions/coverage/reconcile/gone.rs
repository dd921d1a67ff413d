//! Subscriptions that are missing in the list: gone, moved, or no longer readable.

use std::collections::{BTreeMap, BTreeSet};

use super::questions::{FEW, are_many, vanished};
use crate::coverage::{
    CoverageReport,
    baseline::{Baseline, SubscriptionBaseline},
    change::{Change, ChangeKind},
    confirmation::{Answer, Question},
};
use crate::report::text::counted;

/// The subscriptions that belong to the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeMembership {
    /// In the tenant: none can leave it.
    Tenant,
    /// These, by the management groups that Resource Manager lists in the scope.
    These(BTreeSet<String>),
    /// Those below management groups that could not be read.
    Unknown,
}

impl ScopeMembership {
    /// Returns true if a subscription is known to be elsewhere.
    pub(super) fn is_left_by(&self, id: &str) -> bool {
        matches!(self, Self::These(ids) if !ids.contains(id))
    }
}

pub(super) fn note_unreadable(report: &mut CoverageReport, count: usize) {
    if count > 0 {
        report.summary.reasons.push(format!(
            "{} can no longer be read: grant the identity Reader again, or narrow the scope",
            counted(count, "subscription", "subscriptions")
        ));
    }
}

/// The changes for subscriptions that are gone. Other subscriptions that are missing in the
/// list stay in the report as not readable.
pub(super) fn judge_vanished(
    report: &mut CoverageReport,
    before: &Baseline,
    answers: &BTreeMap<Question, Answer>,
    within: &ScopeMembership,
) -> Vec<Change> {
    let vanished: Vec<(String, SubscriptionBaseline)> = vanished(report, before)
        .map(|(id, known)| (id.clone(), known.clone()))
        .collect();
    let answer = |id: &String| answers.get(&Question::Subscription(id.clone()));
    let unclear = unclear(&vanished, answers, within);
    let suspicious = are_many(unclear.len(), before.subscriptions.len());
    if suspicious && report.subscriptions_are_complete {
        report.summary.reasons.push(format!(
            "{} of {} subscriptions are not in the list any more, and Resource Manager did not confirm of {} that they are gone: did the identity lose Reader?",
            vanished.len(),
            before.subscriptions.len(),
            unclear.len()
        ));
    }
    let (mut gone, mut kept, mut unreadable, mut stale) = (Vec::new(), Vec::new(), 0, 0);
    for (id, known) in vanished {
        let row = |confirmed, reason| gone_as(&id, &known, confirmed, reason);
        match answer(&id) {
            _ if !report.subscriptions_are_complete => kept.push(known.subscription(&id)),
            Some(Answer::NotFound) => gone.push(row(true, "")),
            Some(Answer::Subscription(_)) if within.is_left_by(&id) => {
                gone.push(row(true, "it left the scope of the report"));
            }
            Some(Answer::Elsewhere) if !unclear.contains(&id) => {
                gone.push(row(true, "it belongs to another tenant"));
            }
            Some(Answer::Subscription(found)) => {
                kept.push(found.clone());
                stale += 1;
            }
            Some(Answer::Refused | Answer::Elsewhere) => {
                kept.push(known.subscription(&id));
                unreadable += 1;
            }
            _ if suspicious => kept.push(known.subscription(&id)),
            _ => gone.push(row(false, "Resource Manager could not confirm it")),
        }
    }
    report.add_unreadable(kept);
    report.summary.stale_rows += stale;
    note_unreadable(report, unreadable);
    if stale > 0 {
        report.summary.reasons.push(format!(
            "Resource Graph lacks {} that Resource Manager knows, so those plans could not be read",
            counted(stale, "subscription", "subscriptions")
        ));
    }
    gone
}

/// A subscription that is not there any more.
fn gone_as(id: &str, known: &SubscriptionBaseline, confirmed: bool, reason: &str) -> Change {
    Change {
        change: ChangeKind::Gone,
        subscription_id: id.to_owned(),
        subscription_name: known.name.clone(),
        plan: String::new(),
        plan_label: String::new(),
        before: format!("{} plans on", known.on.len()),
        after: String::new(),
        ai_accounts: known.exposed,
        confirmed: Some(confirmed),
        reason: reason.to_owned(),
    }
}

/// The subscriptions that vanished and are not known to be gone.
///
/// One may have moved to another tenant. If several did, it is more likely that our token
/// belongs to another tenant, or that a delegation was withdrawn.
fn unclear(
    vanished: &[(String, SubscriptionBaseline)],
    answers: &BTreeMap<Question, Answer>,
    within: &ScopeMembership,
) -> BTreeSet<String> {
    let answer = |id: &String| answers.get(&Question::Subscription(id.clone()));
    let moved = |id: &&String| answer(id) == Some(&Answer::Elsewhere);
    let ids = vanished.iter().map(|(id, _)| id);
    let all_moved = ids.clone().filter(moved).count();
    let is_unclear = |id: &&String| match answer(id) {
        Some(Answer::NotFound) => false,
        Some(Answer::Subscription(_)) => !within.is_left_by(id),
        Some(Answer::Elsewhere) => all_moved >= FEW,
        _ => true,
    };
    ids.filter(is_unclear).cloned().collect()
}
