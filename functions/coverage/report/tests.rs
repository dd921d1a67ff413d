//! Reports from facts: states, exposure, gaps.

use super::*;
use crate::coverage::estate::Extension;
use crate::coverage::{
    AiResource, Estate, Pricing, Subscription,
    plan::{self, AI, PlanState},
};

fn subscription(id: &str, state: &str) -> Subscription {
    Subscription {
        subscription_id: id.to_owned(),
        name: id.to_uppercase(),
        state: state.to_owned(),
        ..Subscription::default()
    }
}

fn pricing(subscription: &str, name: &str, tier: &str, sub_plan: &str) -> Pricing {
    Pricing {
        id: format!("/subscriptions/{subscription}/providers/Microsoft.Security/pricings/{name}"),
        name: name.to_owned(),
        subscription_id: subscription.to_owned(),
        tier: tier.to_owned(),
        sub_plan: sub_plan.to_owned(),
        ..Pricing::default()
    }
}

fn account(subscription: &str, kind: &str) -> AiResource {
    AiResource {
        id: format!("/subscriptions/{subscription}/{kind}"),
        resource_type: "microsoft.cognitiveservices/accounts".to_owned(),
        kind: kind.to_owned(),
        subscription_id: subscription.to_owned(),
        ..AiResource::default()
    }
}

/// The four subscriptions of the facts: A with everything, B with little, C
/// disabled, D never registered.
fn estate() -> Estate {
    let extension = |name: &str, on| Extension {
        name: name.to_owned(),
        is_enabled: Some(on),
        ..Extension::default()
    };
    let ai = Pricing {
        extensions: vec![
            extension("AIPromptEvidence", true),
            extension("AIPromptSharingWithPurview", false),
            extension("AIModelScanner", true),
        ],
        ..pricing("a", "AI", "Standard", "")
    };
    Estate {
        subscriptions: vec![
            subscription("d", "Enabled"),
            subscription("a", "Enabled"),
            subscription("c", "Disabled"),
            subscription("b", "Enabled"),
        ],
        pricings: vec![
            ai,
            pricing("a", "VirtualMachines", "Standard", "P2"),
            pricing("b", "ai", "Free", ""),
            pricing("b", "VirtualMachines", "Free", "P2"),
            pricing("b", "FoundationalCspm", "Standard", ""),
            pricing("c", "VirtualMachines", "Standard", ""),
        ],
        ai_resources: vec![
            account("a", "OpenAI"),
            account("b", "AIServices"),
            account("b", "SpeechServices"),
            account("d", "openai"),
        ],
        ..Estate::default()
    }
}

fn report() -> CoverageReport {
    CoverageReport::new(estate(), Cloud::Public, "2026-11-23T06:00:00Z")
}

fn find<'a>(report: &'a CoverageReport, subscription: &str, plan: &str) -> &'a PlanCoverage {
    let mut rows = report.rows.iter();
    rows.find(|row| row.subscription.subscription_id == subscription && &*row.plan == plan)
        .unwrap()
}

#[test]
fn every_subscription_has_every_plan_once_with_its_state() {
    let report = report();
    assert_eq!(report.rows.len(), 4 * plan::PLANS.len());
    let states: Vec<_> = ["a", "b", "c", "d"]
        .map(|id| find(&report, id, AI).state)
        .into();
    assert_eq!(
        states,
        [
            PlanState::On,
            PlanState::Off,
            PlanState::NotListed,
            PlanState::NotRegistered
        ]
    );
    let s = &report.summary;
    assert_eq!((s.subscriptions, s.disabled_subscriptions), (4, 1));
    assert_eq!(
        (s.ai_on, s.ai_off, s.ai_not_registered, s.ai_not_listed),
        (1, 1, 1, 0)
    );
    assert!(s.complete);
}

#[test]
fn a_left_over_sub_plan_is_not_on_and_free_plans_are_no_paid_coverage() {
    let report = report();
    let servers = find(&report, "b", "VirtualMachines");
    assert_eq!(
        (servers.state, servers.sub_plan.as_str()),
        (PlanState::Off, "P2")
    );
    assert_eq!(find(&report, "b", "FoundationalCspm").state, PlanState::On);
    assert_eq!(report.summary.paid_plans_on, 2, "AI and Servers of A");
}

#[test]
fn exposed_are_ai_accounts_without_the_plan_in_enabled_subscriptions() {
    let report = report();
    let exposed: Vec<_> = report
        .exposed()
        .iter()
        .map(|row| row.subscription.name.clone())
        .collect();
    assert_eq!(
        (exposed, report.summary.exposed.unwrap()),
        (vec!["B".to_owned(), "D".to_owned()], 2)
    );
    assert_eq!(
        find(&report, "a", AI).extensions_off,
        ["AIPromptSharingWithPurview"]
    );
}

#[test]
fn c12_in_a_sovereign_cloud_the_ai_plan_is_not_available_and_nothing_is_exposed() {
    let report = CoverageReport::new(estate(), Cloud::Sovereign, "");
    assert_eq!(
        (
            report.summary.ai_not_available,
            report.summary.exposed.unwrap()
        ),
        (3, 0)
    );
}

#[test]
fn a29_unknown_plans_tiers_and_cases_are_shown() {
    let mut estate = estate();
    estate
        .pricings
        .push(pricing("a", "Quantum", "Standard", "Q9"));
    estate
        .pricings
        .push(pricing("a", "KeyVaults", "Premium", ""));
    estate.pricings.push(pricing("a", "api", "standard", "P1"));
    let report = CoverageReport::new(estate, Cloud::Public, "");
    assert_eq!(find(&report, "a", "Quantum").state, PlanState::On);
    assert_eq!(
        find(&report, "d", "Quantum").state,
        PlanState::NotRegistered
    );
    assert_eq!(
        find(&report, "a", "KeyVaults").state,
        PlanState::NotReadable
    );
    assert_eq!(find(&report, "a", "Api").state, PlanState::On);
}

#[test]
fn rows_of_resources_do_not_count_for_the_subscription() {
    let mut estate = estate();
    let of_machine = Pricing {
        id: "/subscriptions/d/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v/providers/Microsoft.Security/pricings/VirtualMachines".into(),
        ..pricing("d", "VirtualMachines", "Standard", "P1")
    };
    estate.pricings.push(of_machine);
    let report = CoverageReport::new(estate, Cloud::Public, "");
    assert_eq!(
        find(&report, "d", "VirtualMachines").state,
        PlanState::NotRegistered
    );
    assert_eq!(report.summary.overrides, 1);
}

#[test]
fn a26_what_does_not_fit_together_is_told_and_counted_as_less() {
    let mut estate = estate();
    estate.pricings.push(pricing("a", "AI", "Free", ""));
    estate.ai_resources.push(account("z", "OpenAI"));
    let report = CoverageReport::new(estate, Cloud::Public, "");
    assert_eq!(find(&report, "a", AI).state, PlanState::Off);
    assert!(
        !report.summary.complete && report.summary.reasons.len() == 2,
        "{:?}",
        report.summary.reasons
    );
}

#[test]
fn a26_what_a_partial_query_did_not_bring_is_not_readable() {
    let partial = ["pricings"].into();
    let estate = Estate {
        partial,
        ..estate()
    };
    let report = CoverageReport::new(estate, Cloud::Public, "");
    assert_eq!(find(&report, "d", AI).state, PlanState::NotReadable);
    assert_eq!(find(&report, "b", AI).state, PlanState::Off);
    assert_eq!(
        (
            report.summary.ai_not_registered,
            report.summary.exposed.unwrap()
        ),
        (0, 1)
    );
}

#[test]
fn the_same_facts_in_another_order_give_the_same_report() {
    let mut other = estate();
    other.subscriptions.reverse();
    other.pricings.reverse();
    other.ai_resources.reverse();
    assert_eq!(
        CoverageReport::new(other, Cloud::Public, "2026-11-23T06:00:00Z"),
        report()
    );
}
