//! The checks of the times and the load of scans: SC.

use crate::golden_image::{
    checks::antivirus::switch,
    item::{Checked, fail, pass, warn},
    machine::Image,
};

pub(in crate::golden_image) fn randomised(image: &Image<'_>) -> Checked {
    switch(image, "RandomizeScheduleTaskTimes", true)
}

pub(in crate::golden_image) fn cpu_factor(image: &Image<'_>) -> Checked {
    match image.evidence.number("mpPref", "ScanAvgCPULoadFactor")? {
        0 => fail("0: no limit"),
        percent @ 5..=30 => pass(format!("{percent} %; scans take longer below 50 %")),
        percent @ 31..=50 => pass(format!("{percent} %")),
        percent @ 51..=100 => warn(format!("{percent} %")),
        other => fail(format!("{other} is not a valid limit")),
    }
}

pub(in crate::golden_image) fn throttle_effective(image: &Image<'_>) -> Checked {
    let idle_only = image.evidence.bool("mpPref", "ScanOnlyIfIdleEnabled")?;
    let unthrottled = image
        .evidence
        .bool("mpPref", "DisableCpuThrottleOnIdleScans")?;
    let seen =
        format!("ScanOnlyIfIdleEnabled {idle_only}, DisableCpuThrottleOnIdleScans {unthrottled}");
    if idle_only && unthrottled {
        return warn(format!(
            "{seen}: ScanAvgCPULoadFactor is ignored; both are defaults of Windows"
        ));
    }
    pass(seen)
}

pub(in crate::golden_image) fn quick_scan(image: &Image<'_>) -> Checked {
    let seconds = image
        .evidence
        .time_of_day("mpPref", "ScanScheduleQuickScanTime")?;
    let seen = format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
    match seconds {
        0 => fail("00:00: off"),
        1..=21_599 | 72_000.. => pass(format!(
            "{seen}; pools are often off at this time; 12:00 is recommended"
        )),
        _ => pass(seen),
    }
}

pub(in crate::golden_image) fn no_full_scan(image: &Image<'_>) -> Checked {
    let kind = image.evidence.number("mpPref", "ScanParameters")?;
    let day = image.evidence.number("mpPref", "ScanScheduleDay")?;
    let seen = format!("ScanParameters {kind}, ScanScheduleDay {day}");
    if kind == 2 && day != 8 {
        warn(seen)
    } else {
        pass(seen)
    }
}

pub(in crate::golden_image) fn signatures_first(image: &Image<'_>) -> Checked {
    switch(image, "CheckForSignaturesBeforeRunningScan", true)
}

pub(in crate::golden_image) fn priority(image: &Image<'_>) -> Checked {
    let low = image.evidence.bool("mpPref", "EnableLowCpuPriority")?;
    let scheduled = image
        .evidence
        .bool("mpPref", "ThrottleForScheduledScanOnly")?;
    pass(format!(
        "EnableLowCpuPriority {low}, ThrottleForScheduledScanOnly {scheduled}"
    ))
}
