//! The coverage report: every subscription times every plan, what is exposed,
//! and the sums. The left side is the list of subscriptions, so one that was
//! never registered is there as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    AI_RESOURCES, AiResource, Change, ChangeKind, Estate, PRICINGS, Point, Pricing, SUBSCRIPTIONS,
    Subscription,
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
    pub subscription: Arc<Subscription>,
    /// Name of the plan in the API.
    pub plan: Arc<str>,
    /// Name in the portal; the plan's own where it is not known.
    pub label: Arc<str>,
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
    /// Whether Microsoft has deprecated it, or the sub-plan that it is on with: once
    /// off it cannot be turned on.
    pub deprecated: bool,
    /// Plans in its place.
    pub replaced_by: Vec<String>,
    /// Extensions that are on, sorted.
    pub extensions_on: Vec<String>,
    /// Extensions that are off or unclear, sorted.
    pub extensions_off: Vec<String>,
    /// AI accounts in the subscription; 0 for other plans, `None` when they could
    /// not be read.
    pub ai_accounts: Option<usize>,
    /// Whether they lie open: the AI plan is not on.
    pub exposed: bool,
    /// The worst that changed since the report before; `None` for nothing, and
    /// in a report without one before it.
    pub change: Option<ChangeKind>,
}

/// Counts of a plan over the enabled subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CoverageSummary)]
pub struct Summary {
    /// When the facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// When the facts that this is compared with were read; `None` for a report
    /// that begins a history.
    pub since: Option<String>,
    /// Changes since then, by kind.
    pub changes: BTreeMap<&'static str, usize>,
    /// The worst of them, at most [`Summary::MAX_DOWNGRADES`]; `changes.csv` has
    /// them all.
    pub downgrades: Vec<Change>,
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
    /// AI accounts in enabled subscriptions whose AI plan is not on; null when the
    /// AI accounts could not all be read.
    pub exposed: Option<usize>,
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

impl Summary {
    /// Most downgrades that are told one by one.
    pub const MAX_DOWNGRADES: usize = 20;
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
    /// What changed since the report before, the worst first.
    pub changes: Vec<Change>,
    /// The runs before, the oldest first.
    pub history: Vec<Point>,
    /// Whether the list of subscriptions came whole.
    pub subscriptions_are_whole: bool,
    /// Whether the AI accounts did.
    pub accounts_are_whole: bool,
    plans: Vec<Plan>,
    cloud: Cloud,
}

#[derive(Clone, Debug, PartialEq)]
struct Plan {
    name: Arc<str>,
    label: Arc<str>,
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
        let is_short = note_strangers(&subscriptions, &pricings, &accounts, &mut gaps);
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
            subscriptions_are_whole: !is_short && !estate.partial.contains(SUBSCRIPTIONS.name),
            accounts_are_whole: !estate.partial.contains(AI_RESOURCES.name),
            plans: plans(&pricings, &estate.known_plans),
            cloud,
        };
        let pricings_are_whole = !estate.partial.contains(PRICINGS.name);
        for subscription in subscriptions {
            let id = subscription.subscription_id.as_str();
            let plans = of_subscription(&pricings, id);
            let facts = Facts {
                pricings: (!plans.is_empty()).then_some(plans),
                is_whole: pricings_are_whole,
                // None that were found are none only where all were read.
                accounts: accounts
                    .get(id)
                    .copied()
                    .or(report.accounts_are_whole.then_some(0)),
            };
            let rows = report.rows_of(subscription, facts);
            report.rows.extend(rows);
        }
        report.sum_again();
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

    /// Puts what Resource Manager answered in place of a row; without an answer
    /// the plan cannot be read. The sums are those from before.
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
            is_whole: false,
            accounts: row.ai_accounts,
        };
        *row = coverage(Arc::clone(&row.subscription), plan, facts, cloud);
    }

    /// Adds subscriptions whose plans cannot be read. The sums are those from
    /// before.
    pub(super) fn add_unreadable(&mut self, subscriptions: Vec<Subscription>) {
        let facts = Facts {
            pricings: None,
            is_whole: false,
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

    /// Adds what the scope names and Azure did not tell of: a subscription that the
    /// identity cannot read is no reason to leave it out.
    pub fn expect(&mut self, ids: &[String]) {
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
            "{} subscriptions of `COVERAGE_SCOPE` are not visible ({}): grant the identity Reader on them, or take them out",
            missing.len(),
            first(missing.iter().map(|id| id.as_str()))
        ));
        let named = |id: &String| Subscription {
            subscription_id: id.clone(),
            state: "Enabled".to_owned(),
            ..Subscription::default()
        };
        let missing = missing.into_iter().map(named).collect();
        self.add_unreadable(missing);
        self.sum_again();
    }

    fn rows_of(&self, subscription: Subscription, facts: Facts<'_>) -> Vec<PlanCoverage> {
        let subscription = Arc::new(subscription);
        self.plans
            .iter()
            .map(|plan| coverage(Arc::clone(&subscription), plan, facts, self.cloud))
            .collect()
    }
}

/// Rows in the order of subscription and plan, and those of single resources.
/// Two rows of one plan that differ are told; the one that covers less comes
/// first, and counts.
fn by_subscription(
    mut pricings: Vec<Pricing>,
    gaps: &mut Vec<String>,
) -> (Vec<Pricing>, Vec<Pricing>) {
    let overrides = pricings
        .extract_if(.., |pricing| !pricing.is_of_subscription())
        .collect();
    for pricing in &mut pricings {
        // Nothing reads it again, and there are hundreds of thousands.
        pricing.id = String::new();
    }
    pricings.sort_by(|one, other| {
        let by_name = || lower(&one.name).cmp(lower(&other.name));
        let by_state = || state_of(other).cmp(&state_of(one));
        let by_subscription = one.subscription_id.cmp(&other.subscription_id);
        by_subscription.then_with(by_name).then_with(by_state)
    });
    for pair in pricings.windows(2) {
        let [one, other] = pair else { continue };
        if one.subscription_id == other.subscription_id
            && one.name.eq_ignore_ascii_case(&other.name)
            && state_of(one) != state_of(other)
        {
            gaps.push(format!(
                "Resource Graph has two rows of the plan {} in subscription {}; the one that covers less counts",
                one.name, one.subscription_id
            ));
        }
    }
    (pricings, overrides)
}

fn lower(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// The rows of a subscription among sorted ones.
fn of_subscription<'a>(pricings: &'a [Pricing], id: &str) -> &'a [Pricing] {
    let from = pricings.partition_point(|pricing| pricing.subscription_id.as_str() < id);
    let rest = &pricings[from..];
    let count = rest.partition_point(|pricing| pricing.subscription_id == id);
    &rest[..count]
}

/// The known plans, those that the report before had beside them, and those that
/// the data have, in this order and each with its first spelling.
fn plans(pricings: &[Pricing], before: &BTreeSet<String>) -> Vec<Plan> {
    let is_unknown = |name: &&str| plan::known(name).is_none() && !name.is_empty();
    let before = before.iter().map(String::as_str).filter(is_unknown);
    let data: BTreeSet<&str> = pricings
        .iter()
        .map(|pricing| pricing.name.as_str())
        .filter(is_unknown)
        .collect();
    let mut seen = BTreeSet::new();
    let known = plan::PLANS.iter().map(|plan| plan.name);
    known
        .chain(before)
        .chain(data)
        .filter(|name| seen.insert(name.to_ascii_lowercase()))
        .map(|name| Plan {
            name: name.into(),
            label: plan::known(name).map_or(name, |plan| plan.label).into(),
        })
        .collect()
}

fn count_accounts(resources: &[AiResource]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for account in resources.iter().filter(|resource| resource.is_ai_account()) {
        *counts.entry(account.subscription_id.clone()).or_default() += 1;
    }
    counts
}

/// Up to five of some ids, for a sentence.
pub(super) fn first<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = ids.take(6).collect();
    if ids.len() == 6 {
        ids[5] = "...";
    }
    ids.join(", ")
}

/// Rows of subscriptions that the list does not have: the list is not whole.
fn note_strangers(
    subscriptions: &[Subscription],
    pricings: &[Pricing],
    accounts: &BTreeMap<String, usize>,
    gaps: &mut Vec<String>,
) -> bool {
    let listed: BTreeSet<&str> = subscriptions
        .iter()
        .map(|subscription| subscription.subscription_id.as_str())
        .collect();
    let of_plans = pricings
        .iter()
        .map(|pricing| pricing.subscription_id.as_str());
    let named: BTreeSet<&str> = of_plans
        .chain(accounts.keys().map(String::as_str))
        .collect();
    let strangers: Vec<&str> = named.difference(&listed).copied().collect();
    if strangers.is_empty() {
        return false;
    }
    gaps.push(format!(
        "{} subscriptions have plans or AI resources but are not in the list of subscriptions ({})",
        strangers.len(),
        first(strangers.iter().copied())
    ));
    true
}

/// What is known of the plans of a subscription.
#[derive(Clone, Copy)]
struct Facts<'a> {
    pricings: Option<&'a [Pricing]>,
    /// Whether a plan that is not among them is none.
    is_whole: bool,
    /// AI accounts; `None` when they could not be read.
    accounts: Option<usize>,
}

fn coverage(
    subscription: Arc<Subscription>,
    plan: &Plan,
    facts: Facts<'_>,
    cloud: Cloud,
) -> PlanCoverage {
    let is_it = |pricing: &&Pricing| pricing.name.eq_ignore_ascii_case(&plan.name);
    let pricing = facts.pricings.and_then(|plans| plans.iter().find(is_it));
    let is_ai = &*plan.name == AI;
    let state = match (pricing, facts.pricings) {
        _ if is_ai && cloud == Cloud::Sovereign => PlanState::NotAvailable,
        (Some(pricing), _) => state_of(pricing),
        (None, _) if !facts.is_whole => PlanState::NotReadable,
        (None, Some(_)) => PlanState::NotListed,
        (None, None) => PlanState::NotRegistered,
    };
    let ai_accounts = if is_ai { facts.accounts } else { Some(0) };
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
    let exposed = ai_accounts > Some(0) && state.leaves_open() && subscription.is_enabled();
    PlanCoverage {
        subscription,
        plan: Arc::clone(&plan.name),
        label: Arc::clone(&plan.label),
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
        deprecated: plan::is_deprecated(pricing),
        replaced_by: pricing.replaced_by.clone(),
        extensions_on: names(true),
        extensions_off: names(false),
        ai_accounts,
        exposed,
        change: None,
    }
}

impl CoverageReport {
    /// Counts the rows; what is not counted stays.
    pub(super) fn sum_again(&mut self) {
        let mut counts: BTreeMap<&str, BTreeMap<&'static str, usize>> = BTreeMap::new();
        let (mut exposed, mut paid_plans_on) = (0, 0);
        for row in self.rows.iter().filter(|row| row.subscription.is_enabled()) {
            *counts
                .entry(&row.plan)
                .or_default()
                .entry(row.state.as_str())
                .or_default() += 1;
            if row.exposed {
                exposed += row.ai_accounts.unwrap_or_default();
            }
            let is_free = plan::known(&row.plan).is_some_and(|plan| plan.is_free);
            paid_plans_on += usize::from(row.state == PlanState::On && !is_free);
        }
        let ai = |state: PlanState| {
            let of_plan = counts.get(AI).and_then(|states| states.get(state.as_str()));
            of_plan.copied().unwrap_or_default()
        };
        let disabled = self.by_subscription();
        let disabled = disabled.filter(|rows| !rows[0].subscription.is_enabled());
        let plans = self.plans.iter().map(|plan| PlanCounts {
            plan: plan.name.to_string(),
            label: plan.label.to_string(),
            states: counts.get(&*plan.name).cloned().unwrap_or_default(),
        });
        self.summary = Summary {
            subscriptions: self.by_subscription().count(),
            disabled_subscriptions: disabled.count(),
            ai_on: ai(PlanState::On),
            ai_off: ai(PlanState::Off),
            ai_not_registered: ai(PlanState::NotRegistered),
            ai_not_listed: ai(PlanState::NotListed),
            ai_not_available: ai(PlanState::NotAvailable),
            ai_not_readable: ai(PlanState::NotReadable),
            exposed: self.accounts_are_whole.then_some(exposed),
            paid_plans_on,
            complete: self.summary.reasons.is_empty(),
            plans: plans.collect(),
            ..std::mem::take(&mut self.summary)
        };
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
}
