//! The records of Azure Resource Graph, read leniently.
//!
//! Values of open sets are kept as text; booleans come as booleans or as the
//! texts "True" and "False".
//! Source: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/list>

mod ai_resource;

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::query::Record;
use crate::wire::{flag, list, lower, text};

pub use ai_resource::AiResource;

/// Everything that one run read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estate {
    /// All subscriptions that are visible.
    pub subscriptions: Vec<Subscription>,
    /// All rows of plans.
    pub pricings: Vec<Pricing>,
    /// AI accounts, and the resources that belong to them.
    pub ai_resources: Vec<AiResource>,
    /// Plans that the report before knew: each has a column, whether it is listed
    /// now or not.
    pub known_plans: BTreeSet<String>,
    /// The reasons why it may be incomplete, a sentence each; empty if it is complete.
    pub gaps: Vec<String>,
    /// Names of the queries whose rows are incomplete.
    pub partial: BTreeSet<&'static str>,
}

/// A subscription. `resourcecontainers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subscription {
    /// Its GUID; compared in lower case.
    #[serde(deserialize_with = "lower")]
    pub subscription_id: String,
    /// The display name, which anyone with rights on the subscription can choose.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// The tenant that it belongs to.
    #[serde(deserialize_with = "lower")]
    pub tenant_id: String,
    /// `Enabled`, `Disabled`, `Warned`, `PastDue`, `Deleted`; an open set.
    #[serde(deserialize_with = "text")]
    pub state: String,
    /// Management groups above it, the nearest first.
    #[serde(deserialize_with = "list")]
    pub mg_chain: Vec<ManagementGroup>,
}

impl Subscription {
    /// Returns true if it is enabled, so that it counts in a report. A subscription without
    /// a state counts too.
    pub fn is_enabled(&self) -> bool {
        self.state.is_empty() || self.state.eq_ignore_ascii_case("enabled")
    }

    /// Names of the management groups from the root down, with slashes.
    pub fn management_group_path(&self) -> String {
        let names: Vec<&str> = self
            .mg_chain
            .iter()
            .rev()
            .map(ManagementGroup::label)
            .collect();
        names.join("/")
    }
}

/// A management group above a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagementGroup {
    /// The display name; empty if only the id is known.
    #[serde(deserialize_with = "text")]
    pub display_name: String,
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub name: String,
}

impl ManagementGroup {
    fn label(&self) -> &str {
        if self.display_name.is_empty() {
            &self.name
        } else {
            &self.display_name
        }
    }
}

/// A plan of a subscription, or of one resource in it. `securityresources`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pricing {
    /// Resource id; its scope says whether it is of the subscription.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Name of the plan, such as `AI`; an open set, compared without case.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its subscription.
    #[serde(deserialize_with = "lower")]
    pub subscription_id: String,
    /// `Standard` or `Free`; an open set.
    #[serde(deserialize_with = "text")]
    pub tier: String,
    /// Such as `P2`; empty for the full plan. Says nothing about on or off.
    #[serde(deserialize_with = "text")]
    pub sub_plan: String,
    /// `FullyCovered`, `PartiallyCovered`, `NotCovered`, or empty.
    #[serde(deserialize_with = "text")]
    pub coverage: String,
    /// The time at which it was turned on, as Azure wrote it; empty if Azure has none.
    #[serde(deserialize_with = "text")]
    pub enablement_time: String,
    /// ISO 8601 duration; `PT0S` or empty for none.
    #[serde(deserialize_with = "text")]
    pub free_trial_remaining_time: String,
    /// True if Microsoft has deprecated the plan.
    #[serde(deserialize_with = "flag")]
    pub deprecated: Option<bool>,
    /// Plans in its place.
    #[serde(deserialize_with = "list")]
    pub replaced_by: Vec<String>,
    /// True if resources may not differ from it.
    #[serde(deserialize_with = "flag")]
    pub enforce: Option<bool>,
    /// Its extensions.
    #[serde(deserialize_with = "list")]
    pub extensions: Vec<Extension>,
}

impl Pricing {
    /// Returns true for the plan of a subscription, false for that of one resource.
    pub fn is_of_subscription(&self) -> bool {
        let id = self.id.to_ascii_lowercase();
        let scope = id.split("/providers/microsoft.security/pricings/").next();
        scope.is_none_or(|scope| scope.trim_matches('/').split('/').count() <= 2)
    }
}

/// A part of a plan that is turned on apart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Extension {
    /// Such as `AIPromptEvidence`; an open set.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// True if it is on; `None` if Azure has another value.
    #[serde(deserialize_with = "flag")]
    pub is_enabled: Option<bool>,
    /// The last operation; `None` if Azure has none.
    pub operation_status: Option<OperationStatus>,
}

/// The outcome of the last operation of an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationStatus {
    /// `Succeeded`, `Failed`; an open set.
    #[serde(deserialize_with = "text")]
    pub code: String,
}

impl Record for Subscription {
    fn id(&self) -> &str {
        &self.subscription_id
    }
}

impl Record for Pricing {
    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_read_with_booleans_as_texts_nulls_and_unknown_values() {
        let row = json!({
            "id": "/subscriptions/A/providers/Microsoft.Security/pricings/AI", "name": "AI", "subscriptionId": "ABC", "tier": "Premium",
            "subPlan": null, "deprecated": "True", "replacedBy": ["X", 7], "enforce": false,
            "extensions": [{ "name": "AIPromptEvidence", "isEnabled": "True" }, { "name": "AIModelScanner", "isEnabled": true }, 3],
        });
        let pricing: Pricing = serde_json::from_value(row).unwrap();
        assert_eq!(
            (
                pricing.subscription_id.as_str(),
                pricing.tier.as_str(),
                pricing.sub_plan.as_str()
            ),
            ("abc", "Premium", "")
        );
        assert_eq!(
            (pricing.deprecated, pricing.enforce),
            (Some(true), Some(false))
        );
        let on: Vec<_> = pricing
            .extensions
            .iter()
            .map(|extension| extension.is_enabled)
            .collect();
        assert_eq!(
            (on, pricing.replaced_by),
            (vec![Some(true), Some(true)], vec!["X".to_owned()])
        );
    }

    #[test]
    fn a_row_of_a_resource_is_not_of_the_subscription() {
        let of = |id: &str| {
            Pricing {
                id: id.to_owned(),
                ..Pricing::default()
            }
            .is_of_subscription()
        };
        assert!(of(
            "/subscriptions/a/providers/Microsoft.Security/pricings/VirtualMachines"
        ));
        assert!(!of(
            "/subscriptions/a/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v/providers/Microsoft.Security/pricings/VirtualMachines"
        ));
    }
}
