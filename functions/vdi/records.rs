//! The rows of Defender about devices, joined into one record per device.
//!
//! The rows are read leniently. Signed-in users and addresses are not read.
//!
//! Sources: <https://learn.microsoft.com/defender-xdr/advanced-hunting-deviceinfo-table>,
//! <https://learn.microsoft.com/defender-endpoint/api/machine>,
//! <https://learn.microsoft.com/defender-endpoint/api/device-health-api-methods-properties>

use std::collections::HashMap;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
    pub(super) device_id: String,
    #[serde(deserialize_with = "text", alias = "deviceName")]
    device_name: String,
    #[serde(deserialize_with = "text", alias = "timestamp")]
    timestamp: String,
    #[serde(deserialize_with = "text", alias = "onboardingStatus")]
    onboarding_status: String,
    #[serde(deserialize_with = "text", alias = "sensorHealthState")]
    sensor_health_state: String,
    #[serde(deserialize_with = "text", alias = "registryDeviceTag")]
    registry_device_tag: String,
    #[serde(deserialize_with = "texts", alias = "deviceManualTags")]
    device_manual_tags: Vec<String>,
    #[serde(deserialize_with = "texts", alias = "deviceDynamicTags")]
    device_dynamic_tags: Vec<String>,
}

/// A row of `names.kql`: the times at which a device id reported under a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeenName {
    #[serde(deserialize_with = "text", alias = "deviceId")]
    pub(super) device_id: String,
    #[serde(deserialize_with = "text", alias = "host")]
    pub(super) host: String,
    #[serde(deserialize_with = "text", alias = "firstSeen")]
    pub(super) first_seen: String,
    #[serde(deserialize_with = "text", alias = "lastSeen")]
    pub(super) last_seen: String,
}

/// A row of `GET /api/machines`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(deserialize_with = "text")]
    computer_dns_name: String,
    #[serde(deserialize_with = "text")]
    last_seen: String,
    #[serde(deserialize_with = "text", alias = "onboardingstatus")]
    onboarding_status: String,
    #[serde(deserialize_with = "text")]
    health_status: String,
    #[serde(deserialize_with = "texts")]
    machine_tags: Vec<String>,
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
    machine_id: String,
    #[serde(deserialize_with = "text")]
    av_mode: String,
    #[serde(deserialize_with = "text")]
    av_is_signature_up_to_date: String,
    #[serde(deserialize_with = "text")]
    av_is_engine_up_to_date: String,
    #[serde(deserialize_with = "text")]
    av_is_platform_up_to_date: String,
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
    pub(super) fn checked(mut self) -> Self {
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
    pub(super) fn span(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        Some((instant(&self.first_seen)?, instant(&self.last_seen)?))
    }
}

/// State of the antivirus of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Antivirus {
    /// `0` active, `1` passive, `2` disabled, `3` other, `4` blocked by EDR, `5`
    /// passive audit; empty when it is not known.
    pub mode: String,
    /// `True`, `False` or `Unknown`: security intelligence, engine, platform.
    pub up_to_date: [String; 3],
}

impl Antivirus {
    /// Returns true if it does not protect; `None` if that is not known.
    pub fn is_passive(&self) -> Option<bool> {
        match self.mode.as_str() {
            "0" => Some(false),
            "1" | "2" | "4" | "5" => Some(true),
            _ => None,
        }
    }

    /// Returns true if a part of it is old; `None` if that is not known.
    pub fn is_stale(&self) -> Option<bool> {
        let is = |word: &'static str| move |told: &String| told.eq_ignore_ascii_case(word);
        if self.up_to_date.iter().any(is("false")) {
            Some(true)
        } else {
            self.up_to_date.iter().all(is("true")).then_some(false)
        }
    }
}

/// A device, joined from all sources.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Its id, lower case.
    pub id: String,
    /// Its name as reported, short or full.
    pub name: String,
    /// Short name, lower case.
    pub short: String,
    /// Domain, lower case; empty when it is not known.
    pub domain: String,
    /// The time of its last activity; `None` if no source has a readable time.
    pub last_seen: Option<OffsetDateTime>,
    /// True if it is onboarded; `None` if no source says.
    pub is_onboarded: Option<bool>,
    /// The health of the sensor, an open set of words.
    pub health: String,
    /// Tags of every kind.
    pub tags: Vec<String>,
    /// True if hunting shows it.
    pub is_hunted: bool,
    /// True if the machines API lists it.
    pub is_listed: bool,
    /// Its antivirus; `None` when no row is about it.
    pub antivirus: Option<Antivirus>,
}

/// One record per id, in the order of the ids.
///
/// A value that one source lacks may come from another one.
pub(super) fn join(sources: Sources) -> Vec<Device> {
    let mut devices: HashMap<String, Device> = HashMap::new();
    for row in sources.devices.rows {
        let device = of_id(&mut devices, &row.device_id);
        device.rename(&row.device_name);
        device.last_seen = device.last_seen.max(instant(&row.timestamp));
        device.is_onboarded = is_onboarded(&row.onboarding_status);
        device.health = row.sensor_health_state;
        device.tag([row.registry_device_tag]);
        device.tag(row.device_manual_tags);
        device.tag(row.device_dynamic_tags);
        device.is_hunted = true;
    }
    for row in sources.machines.rows {
        let device = of_id(&mut devices, &row.id);
        // The full name says more, if it is the same host.
        let (short, domain) = split(&row.computer_dns_name);
        let is_fuller = device.short == short && device.domain.is_empty() && !domain.is_empty();
        if device.name.is_empty() || is_fuller {
            device.rename(&row.computer_dns_name);
        }
        device.last_seen = device.last_seen.max(instant(&row.last_seen));
        device.is_onboarded = device
            .is_onboarded
            .or_else(|| is_onboarded(&row.onboarding_status));
        let told = row.health_status.trim();
        if !told.is_empty() && !told.eq_ignore_ascii_case("unknown") {
            device.health = row.health_status;
        }
        device.tag(row.machine_tags);
        device.is_listed = true;
    }
    for row in sources.antivirus.rows {
        if let Some(device) = devices.get_mut(&row.machine_id.trim().to_lowercase()) {
            device.antivirus = Some(Antivirus {
                mode: row.av_mode,
                up_to_date: [
                    row.av_is_signature_up_to_date,
                    row.av_is_engine_up_to_date,
                    row.av_is_platform_up_to_date,
                ],
            });
        }
    }
    let mut devices: Vec<Device> = devices.into_values().collect();
    devices.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    find_domains(&mut devices);
    devices
}

/// Returns true if a status means an onboarded device; `None` for no status.
fn is_onboarded(status: &str) -> Option<bool> {
    let status = status.trim();
    (!status.is_empty()).then(|| status.eq_ignore_ascii_case("onboarded"))
}

fn of_id<'a>(devices: &'a mut HashMap<String, Device>, id: &str) -> &'a mut Device {
    let id = id.trim().to_lowercase();
    devices.entry(id.clone()).or_insert_with(|| Device {
        id,
        ..Device::default()
    })
}

/// Gives a record without a domain the only domain that has its short name.
///
/// The domains of devices that are known not to be onboarded do not count.
fn find_domains(devices: &mut [Device]) {
    let mut domains: HashMap<String, Option<String>> = HashMap::new();
    let counts = |device: &&Device| !device.domain.is_empty() && device.is_onboarded != Some(false);
    for device in devices.iter().filter(counts) {
        domains
            .entry(device.short.clone())
            .and_modify(|known| {
                if known.as_ref() != Some(&device.domain) {
                    *known = None;
                }
            })
            .or_insert_with(|| Some(device.domain.clone()));
    }
    for device in devices.iter_mut().filter(|device| device.domain.is_empty()) {
        if let Some(Some(domain)) = domains.get(&device.short) {
            device.domain.clone_from(domain);
        }
    }
}

impl Device {
    fn rename(&mut self, name: &str) {
        (self.short, self.domain) = split(name);
        name.trim().clone_into(&mut self.name);
    }

    fn tag(&mut self, tags: impl IntoIterator<Item = String>) {
        for tag in tags {
            if !tag.trim().is_empty() && !self.has_tag(&tag) {
                self.tags.push(tag);
            }
        }
    }

    /// Returns true if it has a tag, of any kind; case does not matter.
    pub fn has_tag(&self, tag: &str) -> bool {
        let tag = tag.trim();
        self.tags
            .iter()
            .any(|held| held.trim().eq_ignore_ascii_case(tag))
    }
}

/// Short name and domain, lower case.
pub(super) fn split(name: &str) -> (String, String) {
    let name = name.trim().trim_end_matches('.').to_lowercase();
    match name.split_once('.') {
        Some((short, domain)) => (short.to_owned(), domain.to_owned()),
        None => (name, String::new()),
    }
}

/// A time as Defender writes it, with up to nine decimals of a second.
pub(super) fn instant(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete<T>(rows: Vec<T>) -> Source<T> {
        Source { rows, gap: None }
    }

    #[test]
    fn the_fuller_name_and_the_later_activity_win() {
        let devices: DeviceInfo = serde_json::from_str(
            r#"{"DeviceId":"A1","DeviceName":"VDI-7","Timestamp":"2026-11-23T06:00:00.1234567Z","OnboardingStatus":"Onboarded","DeviceManualTags":"[\"x\"]","RegistryDeviceTag":null}"#,
        )
        .unwrap();
        let machine: Machine = serde_json::from_str(
            r#"{"id":"a1","computerDnsName":"vdi-7.corp.local","lastSeen":"2026-11-23T07:00:00Z","machineTags":["X","y",7],"rbacGroupId":140}"#,
        )
        .unwrap();
        let other: Machine =
            serde_json::from_str(r#"{"id":"","computerDnsName":"vdi-8"}"#).unwrap();
        let sources = Sources {
            devices: complete(vec![devices]),
            names: complete(Vec::new()),
            machines: complete(vec![machine, other]),
            antivirus: complete(Vec::new()),
        };
        let sources = sources.checked();
        assert_eq!(
            sources.machines.gap.as_deref(),
            Some("1 row has no device id")
        );
        let joined = join(sources);
        assert_eq!(joined.len(), 1);
        let device = &joined[0];
        assert_eq!(
            (device.domain.as_str(), device.is_onboarded),
            ("corp.local", Some(true))
        );
        assert_eq!(device.last_seen.map(|seen| seen.hour()), Some(7));
        assert_eq!(device.tags, ["x", "y", "7"]);
    }
}
