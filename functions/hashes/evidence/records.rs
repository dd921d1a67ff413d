//! The alerts, devices and Indicators that concern a file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MAX_SHOWN;
use super::stats::texts;
use crate::wire::{instant, number, optional_text};

/// An alert that involves a file. `/files/{sha1}/alerts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Alert {
    /// Its id.
    #[serde(deserialize_with = "optional_text")]
    pub id: Option<String>,
    /// The Defender incident that it belongs to.
    #[serde(deserialize_with = "number")]
    pub incident_id: Option<u64>,
    /// Its title.
    #[serde(deserialize_with = "optional_text")]
    pub title: Option<String>,
    /// `Informational`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub severity: Option<String>,
    /// `New`, `InProgress`, `Resolved`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub status: Option<String>,
    /// The time at which it was raised.
    #[serde(deserialize_with = "instant")]
    pub alert_creation_time: Option<String>,
}

/// A device that saw a file. `/files/{sha1}/machines`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// Its id in Defender.
    #[serde(deserialize_with = "optional_text")]
    pub id: Option<String>,
    /// Its full name.
    #[serde(deserialize_with = "optional_text")]
    pub computer_dns_name: Option<String>,
    /// `Active`, `Inactive` and others; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub health_status: Option<String>,
    /// `None`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub risk_score: Option<String>,
}

/// An Indicator of the tenant for a file. `/indicators`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Indicator {
    /// Its id.
    #[serde(deserialize_with = "optional_text")]
    pub id: Option<String>,
    /// The hash that it is for.
    #[serde(deserialize_with = "optional_text")]
    pub indicator_value: Option<String>,
    /// `Allowed`, `Audit`, `Warn`, `Block`, `BlockAndRemediate`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub action: Option<String>,
    /// Its title.
    #[serde(deserialize_with = "optional_text")]
    pub title: Option<String>,
    /// `Informational`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub severity: Option<String>,
    /// The time at which it expires; null for never.
    #[serde(deserialize_with = "instant")]
    pub expiration_time: Option<String>,
    /// Device groups that it is for; empty for all devices.
    #[serde(deserialize_with = "texts")]
    pub rbac_group_names: Vec<String>,
}

/// The Indicators of the tenant for a file, under any of its known hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Indicators {
    /// The number that the identity can see.
    #[schema(required = false)]
    pub count: usize,
    /// True if there are more than `items` shows.
    #[schema(required = false)]
    pub more: bool,
    /// The first 20.
    #[schema(required = false)]
    pub items: Vec<Indicator>,
    /// True if the identity's role shows only those that it created: then there may be
    /// more.
    #[schema(required = false)]
    pub own_only: bool,
}

impl Indicators {
    /// Counts all, keeps the first ones.
    pub fn new(mut items: Vec<Indicator>, own_only: bool) -> Self {
        let count = items.len();
        items.truncate(MAX_SHOWN);
        Self {
            count,
            more: count > items.len(),
            items,
            own_only,
        }
    }
}
