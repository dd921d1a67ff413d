//! The findings about device records (TN-01 and up): how many, and which devices.

mod completeness;
mod finding;
mod hosts;
mod problems;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Counts, Pool, PoolDevice, finding_kinds::KINDS};
use crate::vdi::sorting::host;
use finding::finding;
use problems::{antivirus_is_unknown, antivirus_problem, sensor_problem, told};

pub(crate) use completeness::{Completeness, doubts, reasons};
pub use finding::{Affected, Finding};
pub(crate) use hosts::clones;

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
            stale_antivirus: antivirus(live(|record| {
                told(record, crate::vdi::Antivirus::is_stale)
            })),
            passive_antivirus: antivirus(live(|record| {
                told(record, crate::vdi::Antivirus::is_passive)
            })),
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
