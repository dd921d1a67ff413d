//! The hygiene report on the device records of a pool of virtual desktops.
//!
//! It makes one record per device, groups the records by host, and then lists the
//! findings.

mod files;
mod finding_kinds;
mod findings;
mod html;
mod records;

use std::{collections::HashMap, fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::{
    desktop::{DeviceTag, EntryModel},
    query::Query,
};

pub use files::render;
pub use findings::{Affected, Finding};
pub use records::{
    Antivirus, AntivirusHealth, Device, DeviceInfo, DeviceRow, Machine, SeenName, Sources,
};

/// The latest snapshot of every device id in 30 days.
pub const DEVICES: Query = Query {
    name: "devices",
    text: include_str!("vdi/devices.kql"),
};

/// Device ids that had several names in 7 days.
pub const NAMES: Query = Query {
    name: "names",
    text: include_str!("vdi/names.kql"),
};

/// The time without activity after which a record is inactive.
const SILENT: Duration = Duration::hours(48);

/// The most past runs in the trend.
const MAX_POINTS: usize = 90;

/// A regular expression over short host names, case-insensitive.
///
/// It is not anchored: `^VDI-` matches the start of a name, `VDI` any part of it.
#[derive(Clone, Debug)]
pub struct HostPattern(Regex);

/// A text that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a regular expression over host names, such as `^VDI-`: {0}")]
pub struct NoPattern(String);

impl FromStr for HostPattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let built = RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(1 << 20)
            .build();
        match built {
            Ok(pattern) => Ok(Self(pattern)),
            Err(error) => {
                let why = error.to_string();
                Err(NoPattern(why.lines().last().unwrap_or_default().to_owned()))
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The records that the report is about, and what they are expected to be.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Short names of virtual desktops.
    pub hosts: HostPattern,
    /// Short names of golden images; `None` if they are not set.
    pub golden: Option<HostPattern>,
    /// The tag that they must have.
    pub tag: DeviceTag,
    /// The device entries that they must have: one per host, or one per machine.
    pub entry: EntryModel,
    /// Short or full names of the hosts that must exist; `None` without a list.
    pub expected: Option<Vec<String>>,
}

/// The numbers of a run. A number that could not be read is null, never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = VdiCounts)]
pub struct Counts {
    /// Hosts: a short name in a domain.
    pub hosts: Option<usize>,
    /// Device records of these hosts, including inactive ones.
    pub devices: Option<usize>,
    /// Hosts with two or more records that were active in the last 48 hours.
    pub duplicate_hosts: Option<usize>,
    /// Device ids whose host names take turns.
    pub cloned_devices: Option<usize>,
    /// Onboarded golden images, by host; null without `GOLDEN_IMAGE_PATTERN`.
    pub golden_onboarded: Option<usize>,
    /// Active devices without the tag.
    pub untagged: Option<usize>,
    /// Active devices with old security intelligence, engine or platform.
    pub stale_antivirus: Option<usize>,
    /// Active devices whose antivirus is passive or disabled.
    pub passive_antivirus: Option<usize>,
    /// Active devices whose antivirus state is not known.
    pub unknown_antivirus: Option<usize>,
    /// Records without activity in the last 48 hours.
    pub inactive: Option<usize>,
    /// Inactive records whose host has an active record: leftovers of a reset.
    pub leftovers: Option<usize>,
    /// Expected hosts without an active record; null without a list of hosts.
    pub missing_hosts: Option<usize>,
}

/// The numbers of a past run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = VdiPoint)]
pub struct Point {
    /// The time of the run, RFC 3339 in UTC.
    pub as_of: String,
    /// True if everything could be read.
    pub complete: bool,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: Counts,
}

/// `summary.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VdiSummary)]
pub struct Summary {
    /// The time at which the facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// True if everything could be read.
    pub complete: bool,
    /// The reasons that the report is incomplete, one sentence each.
    pub reasons: Vec<String>,
    /// The numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// Numbers of past runs, the oldest first.
    pub trend: Vec<Point>,
}

/// The part of the previous run that a run uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreviousRun {
    #[serde(flatten)]
    point: Point,
    trend: Vec<Point>,
}

/// A counted record.
#[derive(Clone, Debug)]
pub struct PoolDevice {
    /// The device.
    pub device: Device,
    /// True if it was active in the last 48 hours.
    pub is_live: bool,
    /// True if it is inactive while its host has an active record.
    pub is_leftover: bool,
    /// The ids of the findings that concern it.
    pub findings: Vec<String>,
}

/// The complete report.
#[derive(Clone, Debug)]
pub struct HygieneReport {
    /// The numbers, and the findings with examples.
    pub summary: Summary,
    /// Every counted record, by host.
    pub devices: Vec<PoolDevice>,
    /// Every finding with all devices, the worst first.
    pub affected: Vec<(Finding, Vec<Affected>)>,
    /// Active onboarded devices without the tag, which `vdi tag` adds.
    pub untagged: Vec<(String, String)>,
}

impl HygieneReport {
    /// Joins the sources into a report.
    pub fn new(sources: Sources, pool: &Pool, as_of: &str, before: Option<PreviousRun>) -> Self {
        let sources = sources.checked();
        let whole = findings::Completeness::of(&sources);
        let mut reasons = findings::reasons(&sources);
        let names = findings::clones(&sources.names.rows);
        let devices = records::join(sources);
        let newest = newest(&devices, as_of);
        let (golden, mut counted, others) = sort_out(devices, pool, newest);
        reasons.extend(findings::doubts(&counted, &others));
        mark_leftovers(&mut counted);
        counted.sort_by(|one, other| {
            let key = |record: &PoolDevice| {
                (
                    record.device.short.clone(),
                    record.device.domain.clone(),
                    !record.is_live,
                )
            };
            key(one).cmp(&key(other))
        });
        let estate = findings::Estate {
            pool,
            whole,
            golden: &golden,
            others: &others,
            names: &names,
        };
        let (counts, affected) = estate.findings(&mut counted);
        let untagged = counted
            .iter()
            .filter(|record| record.is_live && !record.device.has_tag(&pool.tag.to_string()))
            .map(|record| (record.device.id.clone(), record.device.name.clone()))
            .collect();
        let summary = Summary {
            as_of: as_of.to_owned(),
            complete: reasons.is_empty(),
            reasons,
            counts,
            findings: affected
                .iter()
                .map(|(finding, _)| finding.clone())
                .collect(),
            trend: trend(before),
        };
        Self {
            summary,
            devices: counted,
            affected,
            untagged,
        }
    }
}

/// Golden images, virtual desktops, and everything else.
fn sort_out(
    devices: Vec<Device>,
    pool: &Pool,
    newest: Option<OffsetDateTime>,
) -> (Vec<PoolDevice>, Vec<PoolDevice>, Vec<PoolDevice>) {
    let tag = pool.tag.to_string();
    let (mut golden, mut counted, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for device in devices {
        let is_golden = pool
            .golden
            .as_ref()
            .is_some_and(|golden| golden.0.is_match(&device.short));
        let is_pooled = pool.hosts.0.is_match(&device.short) || device.has_tag(&tag);
        // A device counts, and is reported, if no source says whether it is onboarded.
        let into = match device.is_onboarded != Some(false) {
            true if is_golden => &mut golden,
            true if is_pooled => &mut counted,
            _ => &mut others,
        };
        let is_live = is_live(&device, newest);
        into.push(PoolDevice {
            device,
            is_live,
            is_leftover: false,
            findings: Vec::new(),
        });
    }
    (golden, counted, others)
}

/// The newest activity, without times of clocks that are ahead.
fn newest(devices: &[Device], as_of: &str) -> Option<OffsetDateTime> {
    let now = records::instant(as_of);
    let seen = devices.iter().filter_map(|device| device.last_seen);
    seen.filter(|seen| now.is_none_or(|now| *seen <= now))
        .max()
        .or(now)
}

/// Returns true if a device was active in the last 48 hours of the data.
///
/// A device whose time cannot be read counts as live and is reported. Otherwise, no
/// check would cover it.
fn is_live(device: &Device, newest: Option<OffsetDateTime>) -> bool {
    match (device.last_seen, newest) {
        (Some(seen), Some(newest)) => newest - seen <= SILENT,
        _ => true,
    }
}

fn mark_leftovers(counted: &mut [PoolDevice]) {
    let mut live: HashMap<(String, String), bool> = HashMap::new();
    for record in counted.iter().filter(|record| record.is_live) {
        live.insert(host(record), true);
    }
    for record in counted.iter_mut().filter(|record| !record.is_live) {
        record.is_leftover = live.contains_key(&host(record));
    }
}

/// Short name and domain; a record without a name is a host of its own.
fn host(record: &PoolDevice) -> (String, String) {
    let device = &record.device;
    if device.short.is_empty() {
        return (String::new(), device.id.clone());
    }
    (device.short.clone(), device.domain.clone())
}

fn trend(before: Option<PreviousRun>) -> Vec<Point> {
    let Some(before) = before else {
        return Vec::new();
    };
    let mut trend = before.trend;
    trend.push(before.point);
    let too_many = trend.len().saturating_sub(MAX_POINTS);
    trend.split_off(too_many)
}
