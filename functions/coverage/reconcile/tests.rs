//! Changes, questions to Resource Manager, and what its responses make of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::coverage::{AiResource, Cloud, Estate, estate::Extension};
use crate::coverage::{
    CoverageReport,
    baseline::Baseline,
    change::{Change, ChangeKind},
    confirmation::{Answer, Question},
    plan::AI,
};
use crate::coverage::{Pricing, Subscription, confirmation::plan_of};

/// Subscriptions `a`, `b`, ... with Defender for AI of these tiers; without one
/// there is only a row of another plan.
fn estate(tiers: &[Option<&str>]) -> Estate {
    let mut estate = Estate::default();
    for (id, tier) in ('a'..='z').zip(tiers) {
        let id = id.to_string();
        let pricing = |name: &str, tier: &str| Pricing {
            id: format!("/subscriptions/{id}/providers/Microsoft.Security/pricings/{name}"),
            name: name.into(),
            subscription_id: id.clone(),
            tier: tier.into(),
            ..Pricing::default()
        };
        estate.subscriptions.push(Subscription {
            subscription_id: id.clone(),
            name: id.to_uppercase(),
            state: "Enabled".into(),
            ..Subscription::default()
        });
        estate.pricings.push(pricing("Arm", "Free"));
        estate.pricings.extend(tier.map(|tier| pricing(AI, tier)));
    }
    estate
}

fn report(estate: Estate) -> CoverageReport {
    CoverageReport::new(estate, Cloud::Public, "2026-11-23T06:00:00Z")
}

fn baseline(estate: Estate) -> Baseline {
    Baseline::after(&report(estate), None, "tenant")
}

fn account(id: &str) -> AiResource {
    AiResource {
        id: format!("/{id}"),
        resource_type: "microsoft.cognitiveservices/accounts".into(),
        kind: "OpenAI".into(),
        subscription_id: id.into(),
        ..AiResource::default()
    }
}

fn rows(changes: &[Change]) -> Vec<(&str, &str, &str, Option<bool>)> {
    changes
        .iter()
        .map(|c| {
            (
                c.change.as_str(),
                c.subscription_id.as_str(),
                c.plan.as_str(),
                c.confirmed,
            )
        })
        .collect()
}

fn asked(id: &str) -> Question {
    Question::Plan(id.into(), AI.into())
}

#[test]
fn every_change_is_reported_the_worst_first() {
    let before = baseline(estate(&[
        Some("Standard"),
        Some("Standard"),
        Some("Free"),
        Some("Standard"),
        Some("Standard"),
    ]));
    let mut now = estate(&[
        Some("Free"),
        Some("Standard"),
        Some("Standard"),
        Some("Standard"),
        None,
        Some("Standard"),
    ]);
    now.pricings[3].sub_plan = "P2".into();
    now.pricings[7].extensions = vec![Extension {
        name: "AIModelScanner".into(),
        is_enabled: Some(true),
        ..Extension::default()
    }];
    now.ai_resources = vec![account("e")];
    let report = report(now);
    assert_eq!(
        questions(&report, &before, 200),
        [asked("e"), asked("a")],
        "the accounts are in e"
    );
    let answers = BTreeMap::from([(asked("e"), Answer::NotFound)]);
    let report = reconcile(report, &before, &answers, &ScopeMembership::Tenant);
    assert_eq!(
        rows(&report.changes),
        [
            ("disabled", "e", "AI", Some(true)),
            ("disabled", "a", "AI", Some(false)),
            ("newlyExposed", "e", "AI", Some(true)),
            ("subPlanChanged", "b", "AI", None),
            ("extensionChanged", "d", "AI", None),
            ("new", "f", "", None),
            ("enabled", "c", "AI", None),
        ]
    );
    assert!(report.summary.complete);
    assert_eq!(report.summary.changes["disabled"], 2);
    let marked: Vec<_> = report
        .rows
        .iter()
        .filter(|row| &*row.plan == "Arm")
        .filter_map(|row| row.change)
        .collect();
    assert_eq!(
        marked,
        [ChangeKind::New],
        "only rows of the new subscription"
    );
}

#[test]
fn a_subscription_may_move_to_another_tenant_and_many_may_not() {
    let tiers = [Some("Standard"); 8];
    let before = baseline(estate(&tiers));
    for (left, gone) in [(7, 1), (4, 4), (3, 0), (1, 0)] {
        let answers = ('a'..='h')
            .skip(left)
            .map(|id| (Question::Subscription(id.to_string()), Answer::Elsewhere));
        let now = report(estate(&tiers[..left]));
        let report = reconcile(now, &before, &answers.collect(), &ScopeMembership::Tenant);
        assert_eq!(report.changes.len(), gone, "{left}");
        assert_eq!(report.summary.complete, gone > 0, "{left}");
        assert_eq!(report.by_subscription().count(), 8 - gone);
        let next = Baseline::after(&report, Some(&before), "tenant");
        assert_eq!(next.subscriptions.len(), 8 - gone, "none is forgotten");
    }
}

#[test]
fn a_plan_that_this_version_does_not_know_is_compared_as_well() {
    let quantum = |name: &str, tier: &str| {
        let mut estate = estate(&[Some("Free")]);
        estate.pricings.push(Pricing {
            name: name.into(),
            tier: tier.into(),
            ..estate.pricings[0].clone()
        });
        estate
    };
    let before = baseline(quantum("Quantum", "Standard"));
    let next = |mut now: Estate, before: &Baseline| {
        now.known_plans = before.plans();
        reconcile(
            report(now),
            before,
            &BTreeMap::new(),
            &ScopeMembership::Tenant,
        )
    };
    let same = next(quantum("quantum", "Standard"), &before);
    assert_eq!(rows(&same.changes), [], "another spelling is not a change");
    let disabled = [("disabled", "a", "Quantum", Some(false))];
    let gone = next(estate(&[Some("Free")]), &before);
    assert_eq!(rows(&gone.changes), disabled);
    // A run that could not read the plans hides it from no later one.
    let short = Estate {
        pricings: Vec::new(),
        partial: BTreeSet::from(["pricings"]),
        gaps: vec!["pricings: late".into()],
        ..estate(&[Some("Free")])
    };
    let short = next(short, &before);
    assert_eq!(rows(&short.changes), []);
    let between = Baseline::after(&short, Some(&before), "tenant");
    let off = next(quantum("Quantum", "Free"), &between);
    assert_eq!(rows(&off.changes), disabled);
}

#[test]
fn a_downgrade_is_confirmed_only_by_what_says_the_same() {
    let before = baseline(estate(&[Some("Standard")]));
    for (tier, confirmed) in [("Free", true), ("Premium", false)] {
        let mut now = estate(&[Some("Free")]);
        now.subscriptions[0].state.clear();
        let pricing = Pricing {
            tier: tier.into(),
            ..now.pricings[1].clone()
        };
        let answers = BTreeMap::from([(asked("a"), Answer::Plan(Box::new(pricing)))]);
        let report = reconcile(report(now), &before, &answers, &ScopeMembership::Tenant);
        assert_eq!(
            rows(&report.changes),
            [("disabled", "a", "AI", Some(confirmed))],
            "{tier}; a subscription without a state counts"
        );
    }
}

#[test]
fn nothing_changed_is_no_change_and_another_scope_begins_again() {
    let before = baseline(estate(&[Some("Standard"), None]));
    let report = reconcile(
        report(estate(&[Some("Standard"), None])),
        &before,
        &BTreeMap::new(),
        &ScopeMembership::Tenant,
    );
    assert_eq!(report.changes, []);
    let next = Baseline::after(&report, Some(&before), "tenant");
    assert_eq!(
        (next.history.len(), &next.subscriptions),
        (2, &before.subscriptions)
    );
    assert_eq!(
        Baseline::after(&report, Some(&before), "mg:a")
            .history
            .len(),
        1
    );
}

#[test]
fn where_resource_manager_contradicts_its_answer_counts() {
    let before = baseline(estate(&[Some("Standard"), Some("Standard")]));
    let mut now = estate(&[Some("Free"), Some("Free")]);
    now.ai_resources = vec![account("a"), account("b")];
    let still_on = json!({ "id": "/x", "name": "AI", "properties": { "pricingTier": "Standard" } });
    let answers = BTreeMap::from([
        (
            asked("a"),
            Answer::Plan(Box::new(plan_of("a", &still_on).unwrap())),
        ),
        (asked("b"), Answer::Refused),
    ]);
    let report = reconcile(report(now), &before, &answers, &ScopeMembership::Tenant);
    assert_eq!(report.changes, []);
    let s = &report.summary;
    assert_eq!(
        (s.stale_rows, s.ai_on, s.ai_not_readable, s.exposed),
        (1, 1, 1, Some(0))
    );
    assert!(
        !s.complete && s.reasons[0].contains("can no longer be read"),
        "{:?}",
        s.reasons
    );
    let next = Baseline::after(&report, Some(&before), "tenant");
    assert_eq!(
        next.subscriptions, before.subscriptions,
        "what cannot be read keeps its last state"
    );
}

#[test]
fn what_was_never_read_is_no_change_when_it_is() {
    let partial = Estate {
        partial: ["pricings"].into(),
        ..estate(&[None])
    };
    let before = baseline(partial);
    let report = reconcile(
        report(estate(&[Some("Standard")])),
        &before,
        &BTreeMap::new(),
        &ScopeMembership::Tenant,
    );
    assert_eq!(report.changes, []);
}

#[test]
fn a_subscription_is_gone_only_when_resource_manager_says_so() {
    let tiers = [Some("Standard"); 2];
    let before = baseline(estate(&tiers));
    let gone = |answer: Option<Answer>, within: &ScopeMembership| {
        let answers = answer.map(|answer| (Question::Subscription("b".into()), answer));
        reconcile(
            report(estate(&tiers[..1])),
            &before,
            &answers.into_iter().collect(),
            within,
        )
    };
    let report = gone(Some(Answer::NotFound), &ScopeMembership::Tenant);
    assert_eq!(rows(&report.changes), [("gone", "b", "", Some(true))]);
    let known = Subscription {
        subscription_id: "b".into(),
        name: "B".into(),
        state: "Enabled".into(),
        ..Subscription::default()
    };
    let report = gone(
        Some(Answer::Subscription(known.clone())),
        &ScopeMembership::These(BTreeSet::from(["a".to_owned()])),
    );
    assert_eq!(
        (
            report.changes[0].reason.as_str(),
            report.summary.subscriptions
        ),
        ("it left the scope of the report", 1)
    );
    let report = gone(
        Some(Answer::Subscription(known.clone())),
        &ScopeMembership::Tenant,
    );
    assert_eq!(
        (
            report.changes.len(),
            report.summary.stale_rows,
            report.summary.subscriptions
        ),
        (0, 1, 2)
    );
    let report = gone(Some(Answer::Refused), &ScopeMembership::Tenant);
    assert_eq!(
        (
            report.changes.len(),
            report.summary.ai_not_readable,
            report.summary.complete
        ),
        (0, 1, false)
    );
    let report = gone(None, &ScopeMembership::Tenant);
    assert_eq!(
        (report.changes.len(), report.summary.complete),
        (0, false),
        "half of them vanished"
    );
    let next = Baseline::after(&report, Some(&before), "tenant");
    assert_eq!(next.subscriptions, before.subscriptions);
}

#[test]
fn one_of_many_that_vanished_is_reported_as_not_confirmed() {
    let before = baseline(estate(&[Some("Free"); 26]));
    let report = reconcile(
        report(estate(&[Some("Free"); 25])),
        &before,
        &BTreeMap::new(),
        &ScopeMembership::Tenant,
    );
    assert_eq!(rows(&report.changes), [("gone", "z", "", Some(false))]);
}

#[test]
fn an_incomplete_list_reports_no_subscription_as_gone() {
    let before = baseline(estate(&[Some("Free"); 26]));
    let partial = Estate {
        partial: ["subscriptions"].into(),
        gaps: vec!["short".into()],
        ..estate(&[Some("Free"); 25])
    };
    let report = report(partial);
    assert_eq!(questions(&report, &before, 200), []);
    let report = reconcile(report, &before, &BTreeMap::new(), &ScopeMembership::Tenant);
    assert_eq!(
        (report.changes.len(), report.summary.subscriptions),
        (0, 26),
        "it stays in the report"
    );
}

/// The changes of a run after the one that `before` was made of.
fn since(before: &Baseline, now: Estate) -> CoverageReport {
    reconcile(
        report(now),
        before,
        &BTreeMap::new(),
        &ScopeMembership::Tenant,
    )
}

fn with_accounts(tiers: &[Option<&str>], accounts: &[&str]) -> Estate {
    Estate {
        ai_resources: accounts.iter().map(|id| account(id)).collect(),
        ..estate(tiers)
    }
}

#[test]
fn accounts_that_could_not_be_read_are_neither_none_nor_new() {
    let complete = || with_accounts(&[Some("Free"), Some("Free")], &["a"]);
    let first = baseline(complete());
    let partial = Estate {
        ai_resources: Vec::new(),
        partial: [crate::coverage::AI_RESOURCES.name].into(),
        ..complete()
    };
    let second = since(&first, partial);
    assert_eq!(second.summary.exposed, None);
    let ai = second.rows.iter().find(|row| &*row.plan == AI).unwrap();
    assert_eq!((ai.ai_accounts, ai.exposed), (None, false));
    let second = Baseline::after(&second, Some(&first), "tenant");
    let third = since(&second, complete());
    assert_eq!(third.changes, []);
    // A history that begins without them reports no flood when they come.
    let partial = Estate {
        ai_resources: Vec::new(),
        partial: [crate::coverage::AI_RESOURCES.name].into(),
        ..complete()
    };
    assert_eq!(since(&baseline(partial), complete()).changes, []);
}

#[test]
fn what_came_new_in_an_incomplete_run_is_reported_if_it_is_exposed() {
    let first = baseline(estate(&[Some("Free")]));
    let partial = Estate {
        partial: ["pricings"].into(),
        pricings: Vec::new(),
        ..with_accounts(&[Some("Free"), Some("Free")], &["b"])
    };
    let second = since(&first, partial);
    assert_eq!(rows(&second.changes), [("new", "b", "", None)]);
    let second = Baseline::after(&second, Some(&first), "tenant");
    let third = since(
        &second,
        with_accounts(&[Some("Free"), Some("Free")], &["b"]),
    );
    assert_eq!(
        rows(&third.changes),
        [("newlyExposed", "b", "AI", Some(false))]
    );
}

#[test]
fn a_list_that_its_own_plans_contradict_reports_none_as_gone() {
    let before = baseline(estate(&[Some("Free"); 3]));
    let mut short = estate(&[Some("Free"); 3]);
    short.subscriptions.remove(1);
    let report = since(&before, short);
    assert_eq!(report.changes, []);
    let s = &report.summary;
    assert_eq!(
        (s.subscriptions, s.ai_not_readable, s.complete),
        (3, 1, false)
    );
    assert!(
        s.reasons[0].ends_with("that plans or AI resources name (b)"),
        "{:?}",
        s.reasons
    );
}

#[test]
fn a_clean_up_is_reported_as_far_as_it_is_confirmed() {
    let before = baseline(estate(&[Some("Free"); 26]));
    let mut answers = BTreeMap::new();
    for id in 'n'..='w' {
        answers.insert(Question::Subscription(id.to_string()), Answer::NotFound);
    }
    let now = estate(&[Some("Free"); 13]);
    let report = reconcile(report(now), &before, &answers, &ScopeMembership::Tenant);
    let gone = report
        .changes
        .iter()
        .filter(|one| one.change == ChangeKind::Gone);
    assert_eq!(gone.count(), 10);
    // The three that were not asked stay in the report, and are asked next.
    let s = &report.summary;
    assert_eq!(
        (s.subscriptions, s.ai_not_readable, s.complete),
        (16, 3, false)
    );
    let next = Baseline::after(&report, Some(&before), "tenant");
    let report = CoverageReport::new(estate(&[Some("Free"); 13]), Cloud::Public, "later");
    assert_eq!(questions(&report, &next, 200).len(), 3);
}

#[test]
fn only_what_is_known_to_be_elsewhere_left_the_scope() {
    let tiers = [Some("Standard"); 2];
    let before = baseline(estate(&tiers));
    let known = Subscription {
        subscription_id: "b".into(),
        state: "Enabled".into(),
        ..Subscription::default()
    };
    let answers = BTreeMap::from([(
        Question::Subscription("b".into()),
        Answer::Subscription(known),
    )]);
    for (within, gone) in [
        (ScopeMembership::Unknown, 0),
        (ScopeMembership::These(BTreeSet::from(["b".to_owned()])), 0),
        (ScopeMembership::These(BTreeSet::new()), 1),
    ] {
        let now = report(estate(&tiers[..1]));
        let report = reconcile(now, &before, &answers, &within);
        assert_eq!(report.changes.len(), gone, "{within:?}");
        assert_eq!(report.summary.complete, gone == 1, "{within:?}");
    }
}

#[test]
fn a_list_that_was_never_complete_makes_nothing_new() {
    let short = Estate {
        partial: ["subscriptions"].into(),
        gaps: vec!["short".into()],
        ..with_accounts(&[Some("Free")], &[])
    };
    let first = baseline(short);
    let second = since(&first, with_accounts(&[Some("Free"); 3], &["b", "c"]));
    assert_eq!(second.changes, []);
    let second = Baseline::after(&second, Some(&first), "tenant");
    let third = since(&second, with_accounts(&[Some("Free"); 4], &["b", "c", "d"]));
    assert_eq!(
        rows(&third.changes),
        [
            ("newlyExposed", "d", "AI", Some(false)),
            ("new", "d", "", None)
        ]
    );
}

#[test]
fn what_resource_manager_contradicts_repeatedly_is_not_reported() {
    let before = baseline(estate(&[Some("Standard"); 26]));
    let now = report(estate(&[Some("Free"); 26]));
    let still_on = json!({ "id": "/x", "name": "AI", "properties": { "pricingTier": "Standard" } });
    let asked = questions(&now, &before, 20);
    assert_eq!(asked.len(), 20);
    let answer = || Answer::Plan(Box::new(plan_of("x", &still_on).unwrap()));
    let answers = asked
        .into_iter()
        .map(|question| (question, answer()))
        .collect();
    let report = reconcile(now, &before, &answers, &ScopeMembership::Tenant);
    assert_eq!(report.changes, []);
    let s = &report.summary;
    assert_eq!(
        (s.ai_on, s.ai_not_readable, s.stale_rows, s.complete),
        (20, 6, 20, false)
    );
}

#[test]
fn a_scope_in_other_letters_is_the_same() {
    let first = Baseline::after(&report(estate(&[Some("Free")])), None, "mg:Contoso");
    let second = Baseline::after(&report(estate(&[Some("Free")])), Some(&first), "mg:contoso");
    assert_eq!(second.history.len(), 2);
}
