//! Questions to Resource Manager that confirm a change, and its answers: Resource Graph
//! lags, and a lost Reader grant looks like a clean-up.

use serde_json::{Value, json};

use super::{Pricing, Subscription};

/// A question to Resource Manager. Each costs one GET.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The existence of a subscription.
    Subscription(String),
    /// The plan of a subscription.
    Plan(String, String),
}

/// A response of Resource Manager. A question that was not asked, or whose call failed, has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The subscription, with its name and state.
    Subscription(Subscription),
    /// The plan.
    Plan(Box<Pricing>),
    /// 404: it is not there, or was never registered.
    NotFound,
    /// 401 or 403: the identity cannot read it any more.
    Refused,
    /// The subscription belongs to another tenant by now, or the token does.
    Elsewhere,
}

/// The plan in an answer of Resource Manager.
pub fn plan_of(subscription: &str, answer: &Value) -> Option<Pricing> {
    let of = |name: &str| &answer["properties"][name];
    let row = json!({
        "id": answer["id"], "name": answer["name"], "subscriptionId": subscription, "tier": of("pricingTier"),
        "subPlan": of("subPlan"), "coverage": of("resourcesCoverageStatus"), "enablementTime": of("enablementTime"),
        "freeTrialRemainingTime": of("freeTrialRemainingTime"), "deprecated": of("deprecated"),
        "replacedBy": of("replacedBy"), "enforce": of("enforce"), "extensions": of("extensions"),
    });
    let pricing: Pricing = serde_json::from_value(row).ok()?;
    (!pricing.tier.is_empty()).then_some(pricing)
}

/// The subscription in an answer of Resource Manager.
pub fn subscription_of(answer: &Value) -> Option<Subscription> {
    let row = json!({
        "id": answer["id"], "subscriptionId": answer["subscriptionId"], "name": answer["displayName"],
        "tenantId": answer["tenantId"], "state": answer["state"], "tags": answer["tags"],
    });
    let subscription: Subscription = serde_json::from_value(row).ok()?;
    (!subscription.subscription_id.is_empty()).then_some(subscription)
}
