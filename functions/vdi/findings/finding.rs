//! A finding, and the devices that it concerns.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desktop::Severity;
use crate::vdi::{PoolDevice, finding_kinds::Kind};

/// The most devices that the summary names per finding; `findings.csv` has all.
const MAX_EXAMPLES: usize = 50;

/// A problem, and the devices that it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VdiFinding)]
pub struct Finding {
    /// The id, such as `TN-01`.
    pub id: Cow<'static, str>,
    /// The severity.
    pub severity: Severity,
    /// The problem, in a few words.
    pub title: Cow<'static, str>,
    /// The number of devices that it concerns; for `TN-08`, of hosts.
    pub devices: usize,
    /// The first of these devices.
    pub examples: Vec<Example>,
    /// The next step to fix it.
    pub next_step: Cow<'static, str>,
}

/// A device that a finding concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VdiExample)]
pub struct Example {
    /// Its id; empty for a host without a device.
    pub device_id: String,
    /// Its name as reported.
    pub host: String,
}

/// A device that a finding concerns, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Its id; empty for a host without a device.
    pub device_id: String,
    /// Its name as reported.
    pub host: String,
    /// The time of its last activity, RFC 3339; empty if it is not known.
    pub last_seen: String,
    /// The observation, in a few words.
    pub detail: String,
}

impl Affected {
    pub(super) fn of(record: &PoolDevice, detail: impl Into<String>) -> Self {
        Self {
            device_id: record.device.id.clone(),
            host: record.device.name.clone(),
            last_seen: crate::vdi::files::time(record.device.last_seen),
            detail: detail.into(),
        }
    }
}

pub(super) fn finding(kind: &Kind, affected: &[Affected]) -> Finding {
    let examples = affected.iter().take(MAX_EXAMPLES).map(|one| Example {
        device_id: one.device_id.clone(),
        host: one.host.clone(),
    });
    Finding {
        id: kind.id.into(),
        severity: kind.severity,
        title: kind.title.into(),
        devices: affected.len(),
        examples: examples.collect(),
        next_step: kind.next_step.into(),
    }
}
