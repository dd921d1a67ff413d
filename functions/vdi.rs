//! The hygiene report on the device records of a pool of virtual desktops.
//!
//! It makes one record per device, groups the records by host, and then lists the
//! findings.

mod files;
mod finding_kinds;
mod findings;
mod html;
mod pool;
mod records;
mod sorting;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::query::Query;
use sorting::{mark_leftovers, newest, sort_out};

pub use files::render;
pub use findings::{Affected, Finding};
pub use pool::{HostPattern, NoPattern, Pool};
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

/// The most past runs in the trend.
const MAX_POINTS: usize = 90;

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

fn trend(before: Option<PreviousRun>) -> Vec<Point> {
    let Some(before) = before else {
        return Vec::new();
    };
    let mut trend = before.trend;
    trend.push(before.point);
    let too_many = trend.len().saturating_sub(MAX_POINTS);
    trend.split_off(too_many)
}
