//! Joins the facts of Resource Graph: the rows of each subscription, and what does not fit together.

use std::collections::{BTreeMap, BTreeSet};

use super::row::Plan;
use crate::coverage::{
    AiResource, Pricing, Subscription,
    plan::{self, state_of},
};
use crate::report::text::counted;

/// Rows in the order of subscription and plan, and those of single resources. If two rows
/// of one plan differ, that is a gap, and the one that covers less comes first and counts.
pub(super) fn by_subscription(
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
pub(super) fn of_subscription<'a>(pricings: &'a [Pricing], id: &str) -> &'a [Pricing] {
    let from = pricings.partition_point(|pricing| pricing.subscription_id.as_str() < id);
    let rest = &pricings[from..];
    let count = rest.partition_point(|pricing| pricing.subscription_id == id);
    &rest[..count]
}

/// The known plans, further ones of the previous report, and further ones of the data, in
/// this order and each with its first spelling.
pub(super) fn plans(pricings: &[Pricing], before: &BTreeSet<String>) -> Vec<Plan> {
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

pub(super) fn count_accounts(resources: &[AiResource]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for account in resources.iter().filter(|resource| resource.is_ai_account()) {
        *counts.entry(account.subscription_id.clone()).or_default() += 1;
    }
    counts
}

/// Up to five of some ids, for a sentence.
pub(crate) fn first<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut ids: Vec<&str> = ids.take(6).collect();
    if ids.len() == 6 {
        ids[5] = "...";
    }
    ids.join(", ")
}

/// Records a gap if rows belong to subscriptions that are not in the list. Returns true if
/// the list is incomplete.
pub(super) fn note_unlisted_subscriptions(
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
    let unlisted: Vec<&str> = named.difference(&listed).copied().collect();
    if unlisted.is_empty() {
        return false;
    }
    gaps.push(format!(
        "the list of subscriptions lacks {} that plans or AI resources name ({})",
        counted(unlisted.len(), "subscription", "subscriptions"),
        first(unlisted.iter().copied())
    ));
    true
}
