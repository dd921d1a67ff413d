//! The rows of Defender about devices, joined into one record per device.
//!
//! The rows are read leniently. Signed-in users and addresses are not read.
//!
//! Sources: <https://learn.microsoft.com/defender-xdr/advanced-hunting-deviceinfo-table>,
//! <https://learn.microsoft.com/defender-endpoint/api/machine>,
//! <https://learn.microsoft.com/defender-endpoint/api/device-health-api-methods-properties>

mod sources;

use std::collections::HashMap;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use sources::{AntivirusHealth, DeviceInfo, DeviceRow, Machine, SeenName, Sources};

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
    use crate::query::Source;

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
