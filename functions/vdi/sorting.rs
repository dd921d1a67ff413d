//! Sorts records into those of the pool and others, and marks what is live or left over.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use super::pool::Pool;
use super::{Device, PoolDevice};

/// The time without activity after which a record is inactive.
const SILENT: Duration = Duration::hours(48);

/// Golden images, virtual desktops, and everything else.
pub(super) fn sort_out(
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
            .is_some_and(|golden| golden.matches(&device.short));
        let is_pooled = pool.hosts.matches(&device.short) || device.has_tag(&tag);
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
pub(super) fn newest(devices: &[Device], as_of: &str) -> Option<OffsetDateTime> {
    let now = super::records::instant(as_of);
    let seen = devices.iter().filter_map(|device| device.last_seen);
    seen.filter(|seen| now.is_none_or(|now| *seen <= now))
        .max()
        .or(now)
}

/// Returns true if a device was active in the last 48 hours of the data.
///
/// A device whose time cannot be read counts as live and is reported. Otherwise, no
/// check would cover it.
pub(super) fn is_live(device: &Device, newest: Option<OffsetDateTime>) -> bool {
    match (device.last_seen, newest) {
        (Some(seen), Some(newest)) => newest - seen <= SILENT,
        _ => true,
    }
}

pub(super) fn mark_leftovers(counted: &mut [PoolDevice]) {
    let mut live: HashMap<(String, String), bool> = HashMap::new();
    for record in counted.iter().filter(|record| record.is_live) {
        live.insert(host(record), true);
    }
    for record in counted.iter_mut().filter(|record| !record.is_live) {
        record.is_leftover = live.contains_key(&host(record));
    }
}

/// Short name and domain; a record without a name is a host of its own.
pub(super) fn host(record: &PoolDevice) -> (String, String) {
    let device = &record.device;
    if device.short.is_empty() {
        return (String::new(), device.id.clone());
    }
    (device.short.clone(), device.domain.clone())
}
