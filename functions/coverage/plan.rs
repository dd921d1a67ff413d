//! The plans of Defender for Cloud, and the state of one in a subscription.
//!
//! The table names what is known; a plan that it does not have is shown under
//! the name that Azure gives it.
//! Source: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/list>

use serde::Serialize;

use super::Pricing;

/// The plan for AI services.
pub const AI: &str = "AI";

/// Extensions of the AI plan.
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
    /// Whether it costs nothing, so that it is no paid coverage when it is on.
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

/// Whether a plan is in effect in a subscription. Trial and partial coverage are
/// told beside it.
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
    /// Azure told no tier, or one that nobody knows.
    NotReadable,
}

impl PlanState {
    /// Every state, in the order in which they are told.
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

    /// Whether AI accounts under it lie open: it is known not to be on.
    pub fn leaves_open(self) -> bool {
        matches!(self, Self::Off | Self::NotRegistered | Self::NotListed)
    }
}

/// The state that a row tells; a left-over sub-plan says nothing.
pub fn state_of(pricing: &Pricing) -> PlanState {
    if pricing.tier.eq_ignore_ascii_case("standard") {
        PlanState::On
    } else if pricing.tier.eq_ignore_ascii_case("free") {
        PlanState::Off
    } else {
        PlanState::NotReadable
    }
}
