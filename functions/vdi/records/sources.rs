//! The records as Defender returns them, and checks of what was read.

use serde::Deserialize;
use time::OffsetDateTime;

use super::{instant, is_onboarded};
use crate::{
    query::Source,
    report::text::counted,
    wire::{text, texts},
};

/// A row of the Defender API that is about one device.
pub trait DeviceRow: serde::de::DeserializeOwned + Send {
    /// The device's id.
    fn id(&self) -> &str;
}

/// A row of `devices.kql`: the latest snapshot of a device id.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceInfo {
    #[serde(deserialize_with = "text", alias = "deviceId")]
    pub(crate) device_id: String,
    #[serde(deserialize_with = "text", alias = "deviceName")]
    pub(crate) device_name: String,
    #[serde(deserialize_with = "text", alias = "timestamp")]
    pub(crate) timestamp: String,
    #[serde(deserialize_with = "text", alias = "onboardingStatus")]
    pub(crate) onboarding_status: String,
    #[serde(deserialize_with = "text", alias = "sensorHealthState")]
    pub(crate) sensor_health_state: String,
    #[serde(deserialize_with = "text", alias = "registryDeviceTag")]
    pub(crate) registry_device_tag: String,
    #[serde(deserialize_with = "texts", alias = "deviceManualTags")]
    pub(crate) device_manual_tags: Vec<String>,
    #[serde(deserialize_with = "texts", alias = "deviceDynamicTags")]
    pub(crate) device_dynamic_tags: Vec<String>,
}

/// A row of `names.kql`: the times at which a device id reported under a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeenName {
    #[serde(deserialize_with = "text", alias = "deviceId")]
    pub(crate) device_id: String,
    #[serde(deserialize_with = "text", alias = "host")]
    pub(crate) host: String,
    #[serde(deserialize_with = "text", alias = "firstSeen")]
    pub(crate) first_seen: String,
    #[serde(deserialize_with = "text", alias = "lastSeen")]
    pub(crate) last_seen: String,
}

/// A row of `GET /api/machines`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    #[serde(deserialize_with = "text")]
    pub(crate) id: String,
    #[serde(deserialize_with = "text")]
    pub(crate) computer_dns_name: String,
    #[serde(deserialize_with = "text")]
    pub(crate) last_seen: String,
    #[serde(deserialize_with = "text", alias = "onboardingstatus")]
    pub(crate) onboarding_status: String,
    #[serde(deserialize_with = "text")]
    pub(crate) health_status: String,
    #[serde(deserialize_with = "texts")]
    pub(crate) machine_tags: Vec<String>,
}

impl DeviceRow for Machine {
    fn id(&self) -> &str {
        &self.id
    }
}

/// A row of `GET /api/deviceavinfo`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AntivirusHealth {
    #[serde(deserialize_with = "text")]
    pub(crate) machine_id: String,
    #[serde(deserialize_with = "text")]
    pub(crate) av_mode: String,
    #[serde(deserialize_with = "text")]
    pub(crate) av_is_signature_up_to_date: String,
    #[serde(deserialize_with = "text")]
    pub(crate) av_is_engine_up_to_date: String,
    #[serde(deserialize_with = "text")]
    pub(crate) av_is_platform_up_to_date: String,
}

impl DeviceRow for AntivirusHealth {
    fn id(&self) -> &str {
        &self.machine_id
    }
}

/// Everything that one run read.
///
/// A complete source has an id in every row: [`Sources::checked`] makes a gap of rows
/// without an id.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Hunting: the latest snapshots.
    pub devices: Source<DeviceInfo>,
    /// Hunting: ids with several names.
    pub names: Source<SeenName>,
    /// The machines API.
    pub machines: Source<Machine>,
    /// The antivirus health API.
    pub antivirus: Source<AntivirusHealth>,
}

impl Sources {
    /// The same sources, with gaps for unusable rows and for contradictions.
    ///
    /// A row that is left out silently would count as healthy.
    pub(crate) fn checked(mut self) -> Self {
        fn check<T>(source: &mut Source<T>, id: fn(&T) -> &str) {
            let before = source.rows.len();
            source.rows.retain(|row| !id(row).trim().is_empty());
            let nameless = before - source.rows.len();
            if nameless > 0 {
                let gap = counted(nameless, "row has no device id", "rows have no device id");
                source.gap.get_or_insert(gap);
            }
        }
        check(&mut self.devices, |row| &row.device_id);
        check(&mut self.names, |row| &row.device_id);
        check(&mut self.machines, |row| &row.id);
        check(&mut self.antivirus, |row| &row.machine_id);
        let unreadable = self.names.rows.iter().filter(|row| row.span().is_none());
        let unreadable = unreadable.count();
        if unreadable > 0 {
            let rows = counted(unreadable, "row", "rows");
            let gap = format!("the times of {rows} cannot be read");
            self.names.gap.get_or_insert(gap);
        }
        self.contradictions();
        self
    }

    /// Adds a gap to a source that is empty although another one shows devices.
    fn contradictions(&mut self) {
        let hunted = self.devices.rows.iter();
        let hunted = hunted.filter(|row| is_onboarded(&row.onboarding_status) == Some(true));
        let listed = self.machines.rows.iter();
        let listed = listed.filter(|row| is_onboarded(&row.onboarding_status) == Some(true));
        let (hunted, listed) = (hunted.count(), listed.count());
        let beside = |number: usize, who: &str| {
            let devices = counted(number, "onboarded device", "onboarded devices");
            format!("it is empty, although {who} shows {devices}")
        };
        if hunted > 0 && self.machines.rows.is_empty() {
            let gap = beside(hunted, "hunting");
            self.machines.gap.get_or_insert(gap);
        }
        if listed > 0 && self.devices.rows.is_empty() {
            let gap = beside(listed, "the list of machines");
            self.devices.gap.get_or_insert(gap);
        }
        if listed > 0 && self.antivirus.rows.is_empty() {
            let gap = beside(listed, "the list of machines");
            self.antivirus.gap.get_or_insert(gap);
        }
    }
}

impl SeenName {
    /// First and last activity under the name; `None` when a time cannot be read.
    pub(crate) fn span(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        Some((instant(&self.first_seen)?, instant(&self.last_seen)?))
    }
}
