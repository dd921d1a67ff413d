//! The coverage report: every subscription times every plan, what is exposed,
//! and the sums. The left side is the list of subscriptions, so one that was
//! never registered is there as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    AiResource, Estate, Pricing, Subscription,
    plan::{self, AI, PlanState, state_of},
};

/// The cloud that the estate is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure public: every plan exists.
    Public,
    /// A sovereign cloud, where the AI plan does not exist.
    Sovereign,
}

/// A plan in a subscription. One row of `coverage.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanCoverage {
    /// The subscription.
    pub subscription: Subscription,
    /// Name of the plan in the API.
    pub plan: String,
    /// Name in the portal; the plan's own where it is not known.
    pub label: String,
    /// Whether it is in effect.
    pub state: PlanState,
    /// Tier as Azure tells it; empty without a row.
    pub tier: String,
    /// Sub-plan as Azure tells it, also of a plan that is off.
    pub sub_plan: String,
    /// `FullyCovered`, `PartiallyCovered`, `NotCovered`, or empty.
    pub resources_coverage_status: String,
    /// When it was turned on.
    pub enablement_time: String,
    /// What is left of the trial, ISO 8601; empty for none.
    pub free_trial_remaining: String,
    /// Whether resources may not differ from it.
    pub enforce: Option<bool>,
    /// Whether Microsoft has deprecated it: once off it cannot be turned on.
    pub deprecated: bool,
    /// Plans in its place.
    pub replaced_by: Vec<String>,
    /// Extensions that are on, sorted.
    pub extensions_on: Vec<String>,
    /// Extensions that are off or unclear, sorted.
    pub extensions_off: Vec<String>,
    /// AI accounts in the subscription; 0 for other plans.
    pub ai_accounts: usize,
    /// Whether they lie open: the AI plan is not on.
    pub exposed: bool,
    /// What changed since the report before: `new`, `gone`, `enabled`,
    /// `disabled`, `subPlanChanged`, `extensionChanged`, `newlyExposed`; empty
    /// for nothing, and in a report without one before it.
    pub change: String,
}

/// Counts of a plan over the enabled subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanCounts {
    /// Name of the plan.
    pub plan: String,
    /// Name in the portal.
    pub label: String,
    /// Subscriptions by state, in the order of [`PlanState::ALL`].
    pub states: BTreeMap<&'static str, usize>,
}

/// The sums. `summary.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// When the facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// Subscriptions that are visible, disabled ones included.
    pub subscriptions: usize,
    /// Those that are not enabled; no other count has them.
    pub disabled_subscriptions: usize,
    /// Enabled subscriptions with the AI plan on.
    pub ai_on: usize,
    /// With it off.
    pub ai_off: usize,
    /// Without a row of any plan.
    pub ai_not_registered: usize,
    /// With rows, but none of the AI plan.
    pub ai_not_listed: usize,
    /// In a cloud without the AI plan.
    pub ai_not_available: usize,
    /// Whose AI plan could not be read.
    pub ai_not_readable: usize,
    /// AI accounts in enabled subscriptions whose AI plan is not on.
    pub exposed: usize,
    /// Plans that cost and are on, over all enabled subscriptions.
    pub paid_plans_on: usize,
    /// Rows that Resource Manager corrected.
    pub stale_rows: usize,
    /// Resources that differ from the plan of their subscription.
    pub overrides: usize,
    /// Whether everything could be read.
    pub complete: bool,
    /// Why not, a sentence each.
    pub reasons: Vec<String>,
    /// Every plan that is known or that the data have.
    pub plans: Vec<PlanCounts>,
}

/// A whole report, sorted, so that the same facts give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CoverageReport {
    /// Sums.
    pub summary: Summary,
    /// By subscription, then by plan.
    pub rows: Vec<PlanCoverage>,
    /// AI accounts and what lies beside them, by id.
    pub ai_resources: Vec<AiResource>,
    /// Rows of single resources, by id.
    pub overrides: Vec<Pricing>,
}

impl CoverageReport {
    /// Joins the facts; `as_of` is when they were read.
    pub fn new(estate: Estate, cloud: Cloud, as_of: &str) -> Self {
        let mut gaps = estate.gaps;
        let (of_subscription, mut overrides): (Vec<_>, Vec<_>) = estate
            .pricings
            .into_iter()
            .partition(Pricing::is_of_subscription);
        overrides.sort_by(|one, other| one.id.cmp(&other.id));
        let pricings = by_subscription(of_subscription, &mut gaps);
        let plans = plan_names(&pricings);
        let accounts = count_accounts(&estate.ai_resources);
        let mut subscriptions = estate.subscriptions;
        subscriptions.sort_by(|one, other| one.subscription_id.cmp(&other.subscription_id));
        note_strangers(&subscriptions, &pricings, &accounts, &mut gaps);
        let mut rows = Vec::with_capacity(subscriptions.len() * plans.len());
        for subscription in &subscriptions {
            let id = subscription.subscription_id.as_str();
            let of_this = pricings.get(id);
            let count = accounts.get(id).copied().unwrap_or_default();
            rows.extend(
                plans
                    .iter()
                    .map(|name| row(subscription, name, of_this, count, cloud)),
            );
        }
        let mut ai_resources = estate.ai_resources;
        ai_resources.sort_by(|one, other| one.id.cmp(&other.id));
        let summary = Summary {
            overrides: overrides.len(),
            ..sum_up(&subscriptions, &rows, &plans, as_of, gaps)
        };
        Self {
            summary,
            rows,
            ai_resources,
            overrides,
        }
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
}

type ByPlan = BTreeMap<String, Pricing>;

/// Rows by subscription and lower-cased plan. Two rows of one plan that differ
/// are told, and the one that covers less counts.
fn by_subscription(pricings: Vec<Pricing>, gaps: &mut Vec<String>) -> BTreeMap<String, ByPlan> {
    let mut map: BTreeMap<String, ByPlan> = BTreeMap::new();
    for pricing in pricings {
        let plans = map.entry(pricing.subscription_id.clone()).or_default();
        let name = pricing.name.to_ascii_lowercase();
        match plans.remove(&name) {
            Some(other) if state_of(&other) != state_of(&pricing) => {
                gaps.push(format!(
                    "Resource Graph has two rows of the plan {} in subscription {}; the one that covers less counts",
                    pricing.name, pricing.subscription_id
                ));
                let less = if state_of(&other) > state_of(&pricing) {
                    other
                } else {
                    pricing
                };
                plans.insert(name, less);
            }
            _ => {
                plans.insert(name, pricing);
            }
        }
    }
    map
}

/// The known plans and those that the data have beside them, in this order.
fn plan_names(pricings: &BTreeMap<String, ByPlan>) -> Vec<String> {
    let unknown: BTreeSet<&str> = pricings
        .values()
        .flat_map(BTreeMap::values)
        .map(|pricing| pricing.name.as_str())
        .filter(|name| plan::known(name).is_none() && !name.is_empty())
        .collect();
    let mut seen = BTreeSet::new();
    let known = plan::PLANS.iter().map(|plan| plan.name);
    known
        .chain(unknown)
        .filter(|name| seen.insert(name.to_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

fn count_accounts(resources: &[AiResource]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for account in resources.iter().filter(|resource| resource.is_ai_account()) {
        *counts.entry(account.subscription_id.clone()).or_default() += 1;
    }
    counts
}

/// Rows of subscriptions that the list does not have: the list is not whole.
fn note_strangers(
    subscriptions: &[Subscription],
    pricings: &BTreeMap<String, ByPlan>,
    accounts: &BTreeMap<String, usize>,
    gaps: &mut Vec<String>,
) {
    let listed: BTreeSet<&str> = subscriptions
        .iter()
        .map(|subscription| subscription.subscription_id.as_str())
        .collect();
    let named: BTreeSet<&str> = pricings
        .keys()
        .chain(accounts.keys())
        .map(String::as_str)
        .collect();
    let strangers = named.difference(&listed).count();
    if strangers > 0 {
        gaps.push(format!(
            "{strangers} subscriptions have plans or AI resources but are not in the list of subscriptions"
        ));
    }
}

fn row(
    subscription: &Subscription,
    name: &str,
    pricings: Option<&ByPlan>,
    accounts: usize,
    cloud: Cloud,
) -> PlanCoverage {
    let pricing = pricings.and_then(|plans| plans.get(&name.to_ascii_lowercase()));
    let is_ai = name == AI;
    let state = match (pricing, pricings) {
        _ if is_ai && cloud == Cloud::Sovereign => PlanState::NotAvailable,
        (Some(pricing), _) => state_of(pricing),
        (None, Some(_)) => PlanState::NotListed,
        (None, None) => PlanState::NotRegistered,
    };
    let ai_accounts = if is_ai { accounts } else { 0 };
    let empty = Pricing::default();
    let pricing = pricing.unwrap_or(&empty);
    let names = |on: bool| {
        let with = pricing
            .extensions
            .iter()
            .filter(|extension| (extension.is_enabled == Some(true)) == on);
        let mut names: Vec<String> = with.map(|extension| extension.name.clone()).collect();
        names.sort();
        names
    };
    let trial = pricing.free_trial_remaining_time.as_str();
    PlanCoverage {
        subscription: subscription.clone(),
        plan: name.to_owned(),
        label: plan::known(name).map_or(name, |plan| plan.label).to_owned(),
        state,
        tier: pricing.tier.clone(),
        sub_plan: pricing.sub_plan.clone(),
        resources_coverage_status: pricing.coverage.clone(),
        enablement_time: pricing.enablement_time.clone(),
        free_trial_remaining: if trial == "PT0S" {
            String::new()
        } else {
            trial.to_owned()
        },
        enforce: pricing.enforce,
        deprecated: pricing.deprecated == Some(true),
        replaced_by: pricing.replaced_by.clone(),
        extensions_on: names(true),
        extensions_off: names(false),
        ai_accounts,
        exposed: ai_accounts > 0 && state.leaves_open() && subscription.is_enabled(),
        change: String::new(),
    }
}

fn sum_up(
    subscriptions: &[Subscription],
    rows: &[PlanCoverage],
    plans: &[String],
    as_of: &str,
    reasons: Vec<String>,
) -> Summary {
    let mut counts: BTreeMap<&str, BTreeMap<&'static str, usize>> = BTreeMap::new();
    let (mut exposed, mut paid_plans_on) = (0, 0);
    for row in rows.iter().filter(|row| row.subscription.is_enabled()) {
        *counts
            .entry(&row.plan)
            .or_default()
            .entry(row.state.as_str())
            .or_default() += 1;
        if row.exposed {
            exposed += row.ai_accounts;
        }
        if row.state == PlanState::On && !plan::known(&row.plan).is_some_and(|plan| plan.is_free) {
            paid_plans_on += 1;
        }
    }
    let ai = |state: PlanState| {
        let of_plan = counts.get(AI).and_then(|states| states.get(state.as_str()));
        of_plan.copied().unwrap_or_default()
    };
    Summary {
        as_of: as_of.to_owned(),
        subscriptions: subscriptions.len(),
        disabled_subscriptions: subscriptions.iter().filter(|one| !one.is_enabled()).count(),
        ai_on: ai(PlanState::On),
        ai_off: ai(PlanState::Off),
        ai_not_registered: ai(PlanState::NotRegistered),
        ai_not_listed: ai(PlanState::NotListed),
        ai_not_available: ai(PlanState::NotAvailable),
        ai_not_readable: ai(PlanState::NotReadable),
        exposed,
        paid_plans_on,
        stale_rows: 0,
        overrides: 0,
        complete: reasons.is_empty(),
        reasons,
        plans: plans
            .iter()
            .map(|name| PlanCounts {
                plan: name.clone(),
                label: plan::known(name)
                    .map_or(name.as_str(), |plan| plan.label)
                    .to_owned(),
                states: counts.get(name.as_str()).cloned().unwrap_or_default(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::estate::Extension;

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
            id: format!(
                "/subscriptions/{subscription}/providers/Microsoft.Security/pricings/{name}"
            ),
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
            gaps: Vec::new(),
        }
    }

    fn report() -> CoverageReport {
        CoverageReport::new(estate(), Cloud::Public, "2026-11-23T06:00:00Z")
    }

    fn find<'a>(report: &'a CoverageReport, subscription: &str, plan: &str) -> &'a PlanCoverage {
        let mut rows = report.rows.iter();
        rows.find(|row| row.subscription.subscription_id == subscription && row.plan == plan)
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
            (exposed, report.summary.exposed),
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
            (report.summary.ai_not_available, report.summary.exposed),
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
}
