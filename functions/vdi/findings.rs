//! The items of the checklist from TN-01 on: their counts and their devices.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Counts, Pool, PoolDevice, Sources,
    finding_kinds::{KINDS, Kind},
    host,
    records::{SeenName, split},
};
use crate::{
    desktop::{EntryModel, Severity},
    query::Source,
    report::text,
};

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
    fn of(record: &PoolDevice, detail: impl Into<String>) -> Self {
        Self {
            device_id: record.device.id.clone(),
            host: record.device.name.clone(),
            last_seen: super::files::time(record.device.last_seen),
            detail: detail.into(),
        }
    }
}

/// The sources that are complete; the numbers of the others are not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completeness {
    devices: bool,
    names: bool,
    machines: bool,
    antivirus: bool,
}

impl Completeness {
    pub(super) fn of(sources: &Sources) -> Self {
        Self {
            devices: sources.devices.is_complete(),
            names: sources.names.is_complete(),
            machines: sources.machines.is_complete(),
            antivirus: sources.antivirus.is_complete(),
        }
    }
}

/// The reasons that the report is incomplete, each once.
pub(super) fn reasons(sources: &Sources) -> Vec<String> {
    fn gap<T>(source: &Source<T>, what: &str) -> Option<String> {
        source.gap.as_ref().map(|gap| format!("{what}: {gap}"))
    }
    let hunting = match (&sources.devices.gap, &sources.names.gap) {
        (Some(one), Some(other)) if one == other => [
            Some(format!(
                "hunting (several records of a host, cloned devices and tags by rule cannot be seen): {one}"
            )),
            None,
        ],
        _ => [
            gap(
                &sources.devices,
                "hunting over device records (several records of a host and tags by rule cannot be seen)",
            ),
            gap(
                &sources.names,
                "hunting over host names (cloned devices cannot be seen)",
            ),
        ],
    };
    let lists = [
        gap(
            &sources.machines,
            "the list of machines (tags, sensor health and old records may be missing)",
        ),
        gap(&sources.antivirus, "antivirus health"),
    ];
    hunting.into_iter().chain(lists).flatten().collect()
}

/// The reasons to doubt a number although every source is complete.
pub(super) fn doubts(counted: &[PoolDevice], others: &[PoolDevice]) -> Vec<String> {
    let doubt = |number: usize, one: &str, many: &str| {
        (number > 0).then(|| text::counted(number, one, many))
    };
    let count = |records: &[PoolDevice], is: fn(&PoolDevice) -> bool| {
        records.iter().filter(|record| is(record)).count()
    };
    let nameless = |record: &PoolDevice| record.device.short.is_empty();
    let nameless_elsewhere = |record: &PoolDevice| {
        let device = &record.device;
        device.short.is_empty() && record.is_live && device.is_onboarded != Some(false)
    };
    let none = counted.is_empty().then(|| {
        "no device record matches `VDI_HOST_PATTERN` or has the tag: check the pattern before you conclude anything".to_owned()
    });
    [
        none,
        doubt(
            count(counted, |record| record.device.last_seen.is_none()),
            "record has no readable time of its last activity; it counts as live",
            "records have no readable time of their last activity; they count as live",
        ),
        doubt(
            count(counted, |record| record.device.is_onboarded.is_none()),
            "record does not say whether it is onboarded; it is counted",
            "records do not say whether they are onboarded; they are counted",
        ),
        doubt(
            count(counted, nameless),
            "record has the tag but no name; it counts as a host",
            "records have the tag but no name; each counts as a host",
        ),
        doubt(
            count(others, nameless_elsewhere),
            "live device has no name, so it is not known whether it is a virtual desktop",
            "live devices have no name, so it is not known whether they are virtual desktops",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The ids whose names take turns, with these names.
///
/// One name after another is a rename. Short, full and differently cased forms are one
/// name.
pub(super) fn clones(rows: &[SeenName]) -> BTreeMap<String, Vec<String>> {
    let mut seen: HashMap<String, BTreeMap<String, (i128, i128)>> = HashMap::new();
    for row in rows {
        // A row without times is already a gap of its source.
        let Some((first, last)) = row.span() else {
            continue;
        };
        let (first, last) = (first.unix_timestamp_nanos(), last.unix_timestamp_nanos());
        let names = seen.entry(row.device_id.trim().to_lowercase()).or_default();
        let span = names.entry(split(&row.host).0).or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
    }
    let takes_turns = |names: &BTreeMap<String, (i128, i128)>| {
        let mut spans: Vec<_> = names.values().collect();
        spans.sort_unstable();
        spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
    };
    seen.into_iter()
        .filter(|(_, names)| takes_turns(names))
        .map(|(id, names)| (id, names.into_keys().collect()))
        .collect()
}

/// The input of the findings.
pub(super) struct Estate<'a> {
    pub(super) pool: &'a Pool,
    pub(super) whole: Completeness,
    pub(super) golden: &'a [PoolDevice],
    pub(super) others: &'a [PoolDevice],
    pub(super) names: &'a BTreeMap<String, Vec<String>>,
}

impl Estate<'_> {
    /// The numbers and the findings; each record gets the ids of its findings.
    pub(super) fn findings(
        &self,
        counted: &mut [PoolDevice],
    ) -> (Counts, Vec<(Finding, Vec<Affected>)>) {
        let (hosts, duplicate_hosts, duplicates) = self.duplicates(counted);
        let found: BTreeMap<&str, Vec<Affected>> = BTreeMap::from([
            ("TN-01", duplicates),
            (
                "TN-02",
                self.golden
                    .iter()
                    .map(|record| Affected::of(record, "onboarded"))
                    .collect(),
            ),
            ("TN-03", self.cloned(counted)),
            (
                "TN-04",
                self.live(counted, |record| {
                    (!record.device.has_tag(&self.pool.tag.to_string())).then(|| {
                        match record.device.tags.as_slice() {
                            [] => "no tag".to_owned(),
                            tags => format!("tags: {}", tags.join(", ")),
                        }
                    })
                }),
            ),
            ("TN-05", self.live(counted, antivirus_problem)),
            ("TN-06", self.live(counted, sensor_problem)),
            ("TN-07", self.hidden(counted)),
            ("TN-08", self.missing(counted)),
        ]);
        let counts = self.counts(counted, hosts, duplicate_hosts, &found);
        let told = KINDS.iter().filter_map(|kind| {
            let affected = found[kind.id].clone();
            (!affected.is_empty()).then(|| (finding(kind, &affected), affected))
        });
        let told: Vec<_> = told.collect();
        mark(counted, &told);
        (counts, told)
    }

    fn counts(
        &self,
        counted: &[PoolDevice],
        hosts: usize,
        duplicate_hosts: usize,
        found: &BTreeMap<&str, Vec<Affected>>,
    ) -> Counts {
        let count = |id: &str| found[id].len();
        let records = self.whole.devices || self.whole.machines;
        let live = |problem: fn(&PoolDevice) -> bool| {
            counted
                .iter()
                .filter(|record| record.is_live && problem(record))
                .count()
        };
        let (records_are, hunted) = (
            |number| records.then_some(number),
            |number| self.whole.devices.then_some(number),
        );
        let antivirus = |number| (self.whole.antivirus && records).then_some(number);
        Counts {
            hosts: records_are(hosts),
            devices: records_are(counted.len()),
            duplicate_hosts: hunted(duplicate_hosts),
            cloned_devices: self.whole.names.then(|| count("TN-03")),
            golden_onboarded: self.pool.golden.as_ref().and(records_are(
                self.golden.iter().map(host).collect::<HashSet<_>>().len(),
            )),
            untagged: records_are(count("TN-04")),
            stale_antivirus: antivirus(live(|record| told(record, super::Antivirus::is_stale))),
            passive_antivirus: antivirus(live(|record| told(record, super::Antivirus::is_passive))),
            unknown_antivirus: antivirus(live(antivirus_is_unknown)),
            inactive: records_are(counted.iter().filter(|record| !record.is_live).count()),
            // The list of machines may hide the older records of a host.
            leftovers: hunted(counted.iter().filter(|record| record.is_leftover).count()),
            missing_hosts: self.pool.expected.as_ref().and(records_are(count("TN-08"))),
        }
    }

    /// The active records that have a problem, with the problem.
    fn live(
        &self,
        counted: &[PoolDevice],
        problem: impl Fn(&PoolDevice) -> Option<String>,
    ) -> Vec<Affected> {
        let live = counted.iter().filter(|record| record.is_live);
        live.filter_map(|record| problem(record).map(|detail| Affected::of(record, detail)))
            .collect()
    }

    /// The number of hosts, of those with several live records, and these records.
    fn duplicates(&self, counted: &[PoolDevice]) -> (usize, usize, Vec<Affected>) {
        let mut hosts: HashMap<(String, String), Vec<&PoolDevice>> = HashMap::new();
        for record in counted {
            hosts.entry(host(record)).or_default().push(record);
        }
        let mut several: Vec<_> = hosts
            .iter()
            .filter(|_| self.pool.entry == EntryModel::Single)
            .map(|(host, records)| {
                (
                    host,
                    records
                        .iter()
                        .filter(|record| record.is_live)
                        .collect::<Vec<_>>(),
                )
            })
            .filter(|(_, live)| live.len() > 1)
            .collect();
        several.sort_by_key(|(host, _)| *host);
        let affected = several.iter().flat_map(|(_, live)| {
            live.iter()
                .map(|record| Affected::of(record, format!("one of {} live records", live.len())))
        });
        (hosts.len(), several.len(), affected.collect())
    }

    fn cloned(&self, counted: &[PoolDevice]) -> Vec<Affected> {
        let records: HashMap<&str, &PoolDevice> = counted
            .iter()
            .chain(self.golden)
            .map(|record| (record.device.id.as_str(), record))
            .collect();
        let is_ours = |name: &String| {
            let golden = self.pool.golden.as_ref();
            self.pool.hosts.0.is_match(name) || golden.is_some_and(|golden| golden.0.is_match(name))
        };
        let ours = self
            .names
            .iter()
            .filter(|(id, names)| records.contains_key(id.as_str()) || names.iter().any(is_ours));
        ours.map(|(id, names)| {
            let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
            Affected {
                device_id: id.clone(),
                host: shown.join(", "),
                last_seen: records
                    .get(id.as_str())
                    .map(|record| super::files::time(record.device.last_seen))
                    .unwrap_or_default(),
                detail: format!("{} host names that take turns", names.len()),
            }
        })
        .collect()
    }

    /// Live duplicates that hunting shows but the machines API does not list.
    fn hidden(&self, counted: &[PoolDevice]) -> Vec<Affected> {
        if !(self.whole.devices && self.whole.machines) {
            return Vec::new();
        }
        let mut live: HashMap<(String, String), usize> = HashMap::new();
        for record in counted.iter().filter(|record| record.is_live) {
            *live.entry(host(record)).or_default() += 1;
        }
        self.live(counted, |record| {
            let is_hidden =
                record.device.is_hunted && !record.device.is_listed && live[&host(record)] > 1;
            is_hidden.then(|| "not in the list of machines".to_owned())
        })
    }

    /// Expected hosts without an active record, each once.
    fn missing(&self, counted: &[PoolDevice]) -> Vec<Affected> {
        let Some(expected) = &self.pool.expected else {
            return Vec::new();
        };
        let live = counted
            .iter()
            .chain(self.golden)
            .chain(self.others)
            .filter(|record| record.is_live && record.device.is_onboarded != Some(false));
        let mut short: HashSet<&str> = HashSet::new();
        let mut full: HashSet<(&str, &str)> = HashSet::new();
        for record in live {
            short.insert(&record.device.short);
            full.insert((&record.device.short, &record.device.domain));
        }
        let mut told: HashSet<(String, String)> = HashSet::new();
        let full_names: HashSet<String> = expected
            .iter()
            .map(|name| split(name))
            .filter(|(_, domain)| !domain.is_empty())
            .map(|(host, _)| host)
            .collect();
        let missing = expected.iter().filter(|name| {
            let (host, domain) = split(name);
            let is_there = if domain.is_empty() {
                short.contains(host.as_str())
            } else {
                // A record without a known domain may be this host.
                full.contains(&(host.as_str(), domain.as_str()))
                    || full.contains(&(host.as_str(), ""))
            };
            // A short name in addition to the full one is the same host.
            let again = domain.is_empty() && full_names.contains(&host);
            !is_there && !again && told.insert((host, domain))
        });
        missing
            .map(|name| Affected {
                device_id: String::new(),
                host: name.clone(),
                last_seen: String::new(),
                detail: "no live record".to_owned(),
            })
            .collect()
    }
}

fn finding(kind: &Kind, affected: &[Affected]) -> Finding {
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

fn mark(counted: &mut [PoolDevice], told: &[(Finding, Vec<Affected>)]) {
    let mut ids: HashMap<&str, Vec<&str>> = HashMap::new();
    for (finding, affected) in told {
        for one in affected {
            ids.entry(&one.device_id).or_default().push(&finding.id);
        }
    }
    for record in counted {
        if let Some(found) = ids.remove(record.device.id.as_str()) {
            record.findings = found.into_iter().map(str::to_owned).collect();
        }
    }
}

fn told(record: &PoolDevice, what: fn(&super::Antivirus) -> Option<bool>) -> bool {
    record.device.antivirus.as_ref().and_then(what) == Some(true)
}

fn antivirus_is_unknown(record: &PoolDevice) -> bool {
    record
        .device
        .antivirus
        .as_ref()
        .is_none_or(|antivirus| antivirus.is_passive().is_none() || antivirus.is_stale().is_none())
}

fn antivirus_problem(record: &PoolDevice) -> Option<String> {
    let antivirus = record.device.antivirus.as_ref()?;
    let mut problems = Vec::new();
    let modes = [
        "",
        "passive",
        "disabled",
        "",
        "blocked by EDR",
        "passive audit",
    ];
    if antivirus.is_passive() == Some(true) {
        let mode = antivirus
            .mode
            .parse()
            .ok()
            .and_then(|mode: usize| modes.get(mode));
        problems.push(mode.copied().unwrap_or_default());
    }
    let parts = ["old security intelligence", "old engine", "old platform"];
    for (part, told) in parts.iter().zip(&antivirus.up_to_date) {
        if told.eq_ignore_ascii_case("false") {
            problems.push(part);
        }
    }
    (!problems.is_empty()).then(|| problems.join(", "))
}

fn sensor_problem(record: &PoolDevice) -> Option<String> {
    let fine = ["", "active", "inactive", "unknown"];
    let health = record.device.health.to_lowercase();
    (!fine.contains(&health.as_str())).then(|| record.device.health.clone())
}
