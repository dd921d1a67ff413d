//! The plans of Defender for Cloud, and the state of one in a subscription.
//!
//! The table names what is known; a plan that it does not have is shown under
//! the name that Azure gives it.
//! Source: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/list>

use serde::Serialize;

use super::Pricing;

/// Defender for AI Services.
pub const AI: &str = "AI";

/// Extensions of Defender for AI.
pub const AI_EXTENSIONS: [&str; 3] = [
    "AIPromptEvidence",
    "AIPromptSharingWithPurview",
    "AIModelScanner",
];

/// A plan that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name in the API.
    pub name: &'static str,
    /// Its name in the portal.
    pub label: &'static str,
    /// True if it is free, so that it is not paid coverage when it is on.
    pub is_free: bool,
}

const fn paid(name: &'static str, label: &'static str) -> Plan {
    Plan {
        name,
        label,
        is_free: false,
    }
}

const fn free(name: &'static str, label: &'static str) -> Plan {
    Plan {
        name,
        label,
        is_free: true,
    }
}

/// Every plan that Microsoft lists, in the order of the portal.
pub const PLANS: [Plan; 18] = [
    paid("CloudPosture", "Defender CSPM"),
    paid("VirtualMachines", "Servers"),
    paid("AppServices", "App Service"),
    paid(AI, "AI services"),
    paid("SqlServers", "Azure SQL databases"),
    paid("SqlServerVirtualMachines", "SQL servers on machines"),
    paid("OpenSourceRelationalDatabases", "Open-source databases"),
    paid("CosmosDbs", "Azure Cosmos DB"),
    paid("StorageAccounts", "Storage"),
    paid("Containers", "Containers"),
    paid("KeyVaults", "Key Vault"),
    paid("Arm", "Resource Manager"),
    paid("Api", "APIs"),
    paid("Dns", "DNS (deprecated)"),
    paid("KubernetesService", "Kubernetes (deprecated)"),
    paid("ContainerRegistry", "Container registries (deprecated)"),
    free("FoundationalCspm", "Foundational CSPM (free)"),
    free("Discovery", "Discovery (free)"),
];

/// The known plan of this name, in any case.
pub fn known(name: &str) -> Option<&'static Plan> {
    PLANS
        .iter()
        .find(|plan| plan.name.eq_ignore_ascii_case(name))
}

/// The state of a plan in a subscription. Trial and partial coverage are separate fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum PlanState {
    /// Tier Standard.
    On,
    /// Tier Free.
    Off,
    /// The subscription has no row of any plan: it was never registered.
    NotRegistered,
    /// It has rows, but none of this plan.
    NotListed,
    /// The plan does not exist in this cloud.
    NotAvailable,
    /// Azure has no tier, or an unknown one.
    NotReadable,
}

impl PlanState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::On,
        Self::Off,
        Self::NotRegistered,
        Self::NotListed,
        Self::NotAvailable,
        Self::NotReadable,
    ];

    /// The word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Off => "Off",
            Self::NotRegistered => "NotRegistered",
            Self::NotListed => "NotListed",
            Self::NotAvailable => "NotAvailable",
            Self::NotReadable => "NotReadable",
        }
    }

    /// Returns true if AI accounts under it are exposed: it is known not to be on.
    pub fn leaves_open(self) -> bool {
        matches!(self, Self::Off | Self::NotRegistered | Self::NotListed)
    }
}

/// Sub-plans that Microsoft has deprecated, by plan: once off they cannot be turned
/// on. Source: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/list>
const DEPRECATED: [(&str, &str); 2] = [("KeyVaults", "PerTransaction"), ("Arm", "PerApiCall")];

/// Returns true if Microsoft has deprecated a plan, or its sub-plan that is on.
pub fn is_deprecated(pricing: &Pricing) -> bool {
    let is_sub_plan = |(plan, sub_plan): &(&str, &str)| {
        plan.eq_ignore_ascii_case(&pricing.name)
            && sub_plan.eq_ignore_ascii_case(&pricing.sub_plan)
            && state_of(pricing) == PlanState::On
    };
    pricing.deprecated == Some(true) || DEPRECATED.iter().any(is_sub_plan)
}

/// The state of a row. A left-over sub-plan does not count.
pub fn state_of(pricing: &Pricing) -> PlanState {
    if pricing.tier.eq_ignore_ascii_case("standard") {
        PlanState::On
    } else if pricing.tier.eq_ignore_ascii_case("free") {
        PlanState::Off
    } else {
        PlanState::NotReadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_plan_may_be_deprecated() {
        for (name, tier, sub_plan, deprecated) in [
            ("KeyVaults", "Standard", "PerTransaction", true),
            ("keyvaults", "standard", "pertransaction", true),
            ("KeyVaults", "Standard", "PerKeyVault", false),
            ("Arm", "Standard", "PerApiCall", true),
            ("Arm", "Free", "PerApiCall", false),
            ("StorageAccounts", "Standard", "PerTransaction", false),
        ] {
            let pricing = Pricing {
                name: name.into(),
                tier: tier.into(),
                sub_plan: sub_plan.into(),
                ..Pricing::default()
            };
            assert_eq!(
                is_deprecated(&pricing),
                deprecated,
                "{name} {tier} {sub_plan}"
            );
        }
    }
}
