//! A plan in a subscription: one row of `coverage.csv`.

use std::sync::Arc;

use crate::coverage::{
    ChangeKind, Pricing, Subscription,
    plan::{self, AI, PlanState, state_of},
};

/// The cloud that the estate is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure public: every plan exists.
    Public,
    /// A sovereign cloud, where Defender for AI does not exist.
    Sovereign,
}

/// A plan in a subscription. One row of `coverage.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanCoverage {
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// Name of the plan in the API.
    pub plan: Arc<str>,
    /// The name in the portal, or the plan's own if it is unknown.
    pub label: Arc<str>,
    /// The state of the plan.
    pub state: PlanState,
    /// The tier as Azure has it; empty without a row.
    pub tier: String,
    /// The sub-plan as Azure has it, also of a plan that is off.
    pub sub_plan: String,
    /// `FullyCovered`, `PartiallyCovered`, `NotCovered`, or empty.
    pub resources_coverage_status: String,
    /// The time at which it was turned on.
    pub enablement_time: String,
    /// The rest of the trial, ISO 8601; empty for none.
    pub free_trial_remaining: String,
    /// True if resources may not differ from it.
    pub enforce: Option<bool>,
    /// True if Microsoft has deprecated it, or its sub-plan that is on: once off, it cannot
    /// be turned on.
    pub deprecated: bool,
    /// Plans in its place.
    pub replaced_by: Vec<String>,
    /// Extensions that are on, sorted.
    pub extensions_on: Vec<String>,
    /// Extensions that are off or unclear, sorted.
    pub extensions_off: Vec<String>,
    /// AI accounts in the subscription; 0 for other plans, `None` if they could not be
    /// read.
    pub ai_accounts: Option<usize>,
    /// True if AI accounts are exposed: Defender for AI is not on.
    pub exposed: bool,
    /// The worst that changed since the report before; `None` for nothing, and
    /// in a report without one before it.
    pub change: Option<ChangeKind>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) label: Arc<str>,
}

/// The known facts of the plans of a subscription.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) pricings: Option<&'a [Pricing]>,
    /// True if a plan that is missing here does not exist in the subscription.
    pub(super) is_complete: bool,
    /// AI accounts; `None` if they could not be read.
    pub(super) accounts: Option<usize>,
}

pub(super) fn coverage(
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
        (None, _) if !facts.is_complete => PlanState::NotReadable,
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
