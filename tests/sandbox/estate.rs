//! The subscriptions of the tenant, their plans and their AI accounts, as the
//! queries of Resource Graph project them.

use serde_json::{Value, json};

/// The resources that Resource Graph returns.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Rows of `resourcecontainers`.
    pub subscriptions: Vec<Value>,
    /// Rows of `securityresources`.
    pub pricings: Vec<Value>,
    /// Rows of `resources`.
    pub ai_resources: Vec<Value>,
}

/// The id of the subscription of this number.
pub fn subscription_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn of<'a>(rows: &'a [Value], field: &str, value: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row[field] == value)
}

impl Estate {
    /// Adds a subscription below `contoso-root` and a group of its own name.
    #[must_use]
    pub fn subscription(mut self, number: usize, name: &str, state: &str, group: &str) -> Self {
        let id = subscription_id(number);
        self.subscriptions.push(json!({
            "id": format!("/subscriptions/{id}"), "subscriptionId": id, "name": name, "state": state,
            "tenantId": crate::TENANT_ID,
            "mgChain": [{ "displayName": group, "name": group.to_lowercase() }, { "displayName": "Contoso", "name": "contoso-root" }],
        }));
        self
    }

    /// Adds a plan of a subscription.
    #[must_use]
    pub fn plan(mut self, number: usize, name: &str, tier: &str, sub_plan: Option<&str>) -> Self {
        let id = subscription_id(number);
        let on = tier == "Standard";
        self.pricings.push(json!({
            "id": format!("/subscriptions/{id}/providers/Microsoft.Security/pricings/{name}"), "name": name, "subscriptionId": id,
            "tier": tier, "subPlan": sub_plan, "coverage": if on { "FullyCovered" } else { "NotCovered" },
            "enablementTime": if on { json!("2025-06-01T12:42:42.1921106Z") } else { Value::Null },
            "freeTrialRemainingTime": "PT0S", "deprecated": Value::Null, "replacedBy": Value::Null, "enforce": "False",
            "extensions": Value::Null,
        }));
        self
    }

    /// Gives these extensions to the plan that was added last.
    #[must_use]
    pub fn with_extensions(mut self, extensions: &[(&str, &str)]) -> Self {
        let listed: Vec<Value> = extensions
            .iter()
            .map(|(name, on)| json!({ "name": name, "isEnabled": on }))
            .collect();
        if let Some(plan) = self.pricings.last_mut() {
            plan["extensions"] = json!(listed);
        }
        self
    }

    /// Adds a Cognitive Services account of a kind.
    #[must_use]
    pub fn account(mut self, number: usize, name: &str, kind: &str) -> Self {
        let id = subscription_id(number);
        self.ai_resources.push(json!({
            "id": format!("/subscriptions/{id}/resourceGroups/ai/providers/Microsoft.CognitiveServices/accounts/{name}"),
            "name": name, "type": "microsoft.cognitiveservices/accounts", "kind": kind, "location": "westeurope",
            "resourceGroup": "ai", "subscriptionId": id, "publicNetworkAccess": "Enabled", "disableLocalAuth": false,
        }));
        self
    }

    /// Removes a subscription, with its plans and accounts.
    #[must_use]
    pub fn without(mut self, number: usize) -> Self {
        let id = subscription_id(number);
        for rows in [
            &mut self.subscriptions,
            &mut self.pricings,
            &mut self.ai_resources,
        ] {
            rows.retain(|row| row["subscriptionId"] != id);
        }
        self
    }

    /// Changes the tier of an existing plan.
    #[must_use]
    pub fn with_tier(mut self, number: usize, name: &str, tier: &str) -> Self {
        let id = subscription_id(number);
        for plan in &mut self.pricings {
            if plan["subscriptionId"] == id && plan["name"] == name {
                plan["tier"] = json!(tier);
            }
        }
        self
    }

    /// A subscription as Resource Manager shows it.
    pub(crate) fn subscription_resource(&self, id: &str) -> Option<Value> {
        let row = of(&self.subscriptions, "subscriptionId", id)?;
        Some(json!({
            "id": row["id"], "subscriptionId": id, "displayName": row["name"], "state": row["state"], "tenantId": row["tenantId"],
        }))
    }

    /// A plan as Resource Manager shows it.
    ///
    /// `None` for a subscription that was never registered.
    pub(crate) fn pricing_resource(&self, id: &str, name: &str) -> Option<Value> {
        let mut plans = self.pricings.iter();
        let row = plans.find(|row| row["subscriptionId"] == id && row["name"] == name)?;
        Some(json!({
            "id": row["id"], "name": name, "type": "Microsoft.Security/pricings",
            "properties": {
                "pricingTier": row["tier"], "subPlan": row["subPlan"], "resourcesCoverageStatus": row["coverage"],
                "freeTrialRemainingTime": "PT0S", "enforce": row["enforce"], "extensions": row["extensions"],
            },
        }))
    }

    /// The Defender settings of an AI account.
    pub(crate) fn defender_for_ai_settings(&self, account: &str) -> Option<Value> {
        let row = of(&self.ai_resources, "id", account)?;
        let state = row["defenderForAI"].as_str().unwrap_or("Enabled");
        Some(json!({ "value": [{ "name": "Default", "properties": { "state": state } }] }))
    }

    /// An estate of `count` subscriptions, each with 18 plans and three AI accounts.
    ///
    /// The rows are in the order of their ids.
    pub fn of_size(count: usize) -> Self {
        const PLANS: [&str; 18] = [
            "VirtualMachines",
            "SqlServers",
            "SqlServerVirtualMachines",
            "OpenSourceRelationalDatabases",
            "CosmosDbs",
            "AppServices",
            "StorageAccounts",
            "Containers",
            "KeyVaults",
            "Arm",
            "Dns",
            "KubernetesService",
            "ContainerRegistry",
            "CloudPosture",
            "Api",
            "AI",
            "Discovery",
            "FoundationalCspm",
        ];
        let mut all = (0..count).fold(Self::default(), |estate, number| {
            let estate =
                estate.subscription(number, &format!("sub-{number}"), "Enabled", "Landing");
            let estate = PLANS
                .iter()
                .enumerate()
                .fold(estate, |estate, (index, plan)| {
                    let tier = if (number + index) % 3 == 0 {
                        "Free"
                    } else {
                        "Standard"
                    };
                    estate.plan(number, plan, tier, None)
                });
            (0..3).fold(estate, |estate, account| {
                estate.account(number, &format!("ai-{number}-{account}"), "OpenAI")
            })
        });
        for rows in [
            &mut all.subscriptions,
            &mut all.pricings,
            &mut all.ai_resources,
        ] {
            rows.sort_by(|one, other| one["id"].as_str().cmp(&other["id"].as_str()));
        }
        all
    }

    /// The estate of the demo: every state of Defender for AI.
    pub fn contoso() -> Self {
        Self::default()
            .subscription(1, "Contoso Production", "Enabled", "Landing zones")
            .plan(1, "AI", "Standard", None)
            .with_extensions(&[
                ("AIPromptEvidence", "True"),
                ("AIPromptSharingWithPurview", "False"),
                ("AIModelScanner", "True"),
            ])
            .plan(1, "VirtualMachines", "Standard", Some("P2"))
            .plan(1, "CloudPosture", "Standard", None)
            .plan(
                1,
                "StorageAccounts",
                "Standard",
                Some("DefenderForStorageV2"),
            )
            .account(1, "contoso-openai", "OpenAI")
            .subscription(2, "Contoso Research", "Enabled", "Landing zones")
            .plan(2, "AI", "Free", None)
            .plan(2, "VirtualMachines", "Free", Some("P2"))
            .plan(2, "FoundationalCspm", "Standard", None)
            .account(2, "research-foundry", "AIServices")
            .account(2, "research-openai", "OpenAI")
            .account(2, "research-speech", "SpeechServices")
            .subscription(3, "Contoso Old", "Disabled", "Decommissioned")
            .plan(3, "VirtualMachines", "Standard", None)
            .subscription(4, "Contoso Sandbox", "Enabled", "Sandbox")
            .account(4, "try-openai", "OpenAI")
            .subscription(5, "Contoso Data", "Enabled", "Landing zones")
            .plan(
                5,
                "StorageAccounts",
                "Standard",
                Some("DefenderForStorageV2"),
            )
    }
}
