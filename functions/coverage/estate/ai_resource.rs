//! AI accounts and the resources that belong to them.

use serde::Deserialize;

use crate::query::Record;
use crate::wire::{flag, lower, text};

/// An AI account, or a resource that belongs to one. Table `resources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AiResource {
    /// Resource id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Resource type in lower case.
    #[serde(rename = "type", deserialize_with = "lower")]
    pub resource_type: String,
    /// Such as `OpenAI`; an open set.
    #[serde(deserialize_with = "text")]
    pub kind: String,
    /// Azure region.
    #[serde(deserialize_with = "text")]
    pub location: String,
    /// Its resource group.
    #[serde(deserialize_with = "text")]
    pub resource_group: String,
    /// Its subscription.
    #[serde(deserialize_with = "lower")]
    pub subscription_id: String,
    /// `Enabled`, `Disabled`; an open set.
    #[serde(deserialize_with = "text")]
    pub public_network_access: String,
    /// True if keys are turned off; `None` if Azure has no value.
    #[serde(deserialize_with = "flag")]
    pub disable_local_auth: Option<bool>,
    /// The setting of the account itself: `Enabled`, `Disabled` or `NotReadable`; empty if
    /// it was not read. Resource Graph does not have it.
    #[serde(skip)]
    pub defender_for_ai: String,
}

impl AiResource {
    /// Returns true if Defender for AI protects it: Microsoft's own tools count the kinds
    /// `OpenAI` and `AIServices`.
    pub fn is_ai_account(&self) -> bool {
        let kinds = ["openai", "aiservices"];
        self.resource_type == "microsoft.cognitiveservices/accounts"
            && kinds.contains(&self.kind.to_ascii_lowercase().as_str())
    }
}

impl Record for AiResource {
    fn id(&self) -> &str {
        &self.id
    }
}
