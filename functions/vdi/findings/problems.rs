//! Problems of single records: antivirus and sensor.

use crate::vdi::PoolDevice;

pub(super) fn told(record: &PoolDevice, what: fn(&crate::vdi::Antivirus) -> Option<bool>) -> bool {
    record.device.antivirus.as_ref().and_then(what) == Some(true)
}

pub(super) fn antivirus_is_unknown(record: &PoolDevice) -> bool {
    record
        .device
        .antivirus
        .as_ref()
        .is_none_or(|antivirus| antivirus.is_passive().is_none() || antivirus.is_stale().is_none())
}

pub(super) fn antivirus_problem(record: &PoolDevice) -> Option<String> {
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

pub(super) fn sensor_problem(record: &PoolDevice) -> Option<String> {
    let fine = ["", "active", "inactive", "unknown"];
    let health = record.device.health.to_lowercase();
    (!fine.contains(&health.as_str())).then(|| record.device.health.clone())
}
