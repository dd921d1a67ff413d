//! Hosts with several records, clones, and expected hosts that are missing.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Estate;
use super::finding::Affected;
use crate::desktop::EntryModel;
use crate::vdi::sorting::host;
use crate::vdi::{
    PoolDevice,
    records::{SeenName, split},
};

/// The ids whose names take turns, with these names.
///
/// One name after another is a rename. Short, full and differently cased forms are one
/// name.
pub(crate) fn clones(rows: &[SeenName]) -> BTreeMap<String, Vec<String>> {
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

impl Estate<'_> {
    /// The number of hosts, of those with several live records, and these records.
    pub(super) fn duplicates(&self, counted: &[PoolDevice]) -> (usize, usize, Vec<Affected>) {
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

    pub(super) fn cloned(&self, counted: &[PoolDevice]) -> Vec<Affected> {
        let records: HashMap<&str, &PoolDevice> = counted
            .iter()
            .chain(self.golden)
            .map(|record| (record.device.id.as_str(), record))
            .collect();
        let is_ours = |name: &String| {
            let golden = self.pool.golden.as_ref();
            self.pool.hosts.matches(name) || golden.is_some_and(|golden| golden.matches(name))
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
                    .map(|record| crate::vdi::files::time(record.device.last_seen))
                    .unwrap_or_default(),
                detail: format!("{} host names that take turns", names.len()),
            }
        })
        .collect()
    }

    /// Live duplicates that hunting shows but the machines API does not list.
    pub(super) fn hidden(&self, counted: &[PoolDevice]) -> Vec<Affected> {
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
    pub(super) fn missing(&self, counted: &[PoolDevice]) -> Vec<Affected> {
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
