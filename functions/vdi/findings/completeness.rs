//! Which sources are complete, and the reasons why others are not.

use crate::vdi::{PoolDevice, Sources};
use crate::{query::Source, report::text};

/// The sources that are complete; the numbers of the others are not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completeness {
    pub(super) devices: bool,
    pub(super) names: bool,
    pub(super) machines: bool,
    pub(super) antivirus: bool,
}

impl Completeness {
    pub(crate) fn of(sources: &Sources) -> Self {
        Self {
            devices: sources.devices.is_complete(),
            names: sources.names.is_complete(),
            machines: sources.machines.is_complete(),
            antivirus: sources.antivirus.is_complete(),
        }
    }
}

/// The reasons that the report is incomplete, each once.
pub(crate) fn reasons(sources: &Sources) -> Vec<String> {
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
pub(crate) fn doubts(counted: &[PoolDevice], others: &[PoolDevice]) -> Vec<String> {
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
