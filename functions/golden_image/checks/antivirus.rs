//! The checks of protection: AV.

use crate::golden_image::{
    expectation::Role,
    item::{Checked, fail, hold, not_assessable, pass, warn},
    machine::Image,
};

fn all_true(image: &Image<'_>, names: &[&str]) -> Checked {
    let mut off = Vec::new();
    let mut unknown = None;
    for name in names {
        match image.evidence.bool("mpStatus", name) {
            Ok(true) => {}
            Ok(false) => off.push((*name).to_owned()),
            Err(outcome) => unknown = Some(outcome),
        }
    }
    match unknown {
        _ if !off.is_empty() => fail(format!("off: {}", off.join(", "))),
        Some(outcome) => Err(outcome),
        None => pass("on"),
    }
}

pub(in crate::golden_image) fn antivirus_on(image: &Image<'_>) -> Checked {
    all_true(image, &["AMServiceEnabled", "AntivirusEnabled"])
}

pub(in crate::golden_image) fn real_time(image: &Image<'_>) -> Checked {
    all_true(
        image,
        &[
            "RealTimeProtectionEnabled",
            "OnAccessProtectionEnabled",
            "IoavProtectionEnabled",
            "BehaviorMonitorEnabled",
        ],
    )
}

pub(in crate::golden_image) fn active_mode(image: &Image<'_>) -> Checked {
    let mode = image.evidence.text("mpStatus", "AMRunningMode")?;
    let small = mode.to_lowercase();
    match small.as_str() {
        "normal" => pass(mode),
        "not running" => fail(mode),
        _ if small.contains("passive") || small.contains("edr") => {
            warn(format!("{mode}: file indicators are not enforced"))
        }
        _ => Err(not_assessable(&format!(
            "AMRunningMode is `{mode}`, which is not a known mode"
        ))),
    }
}

pub(in crate::golden_image) fn signatures_fresh(image: &Image<'_>) -> Checked {
    match image.evidence.number("mpStatus", "AntivirusSignatureAge")? {
        4_294_967_295 | 65_535 | -1 => fail("never updated"),
        age @ 0..=1 => pass(days(age)),
        age @ 2..=3 => warn(days(age)),
        age => fail(days(age)),
    }
}

fn days(count: i64) -> String {
    match count {
        1 => "1 day".to_owned(),
        _ => format!("{count} days"),
    }
}

pub(in crate::golden_image) fn tamper_protection(image: &Image<'_>) -> Checked {
    match (
        image.evidence.bool("mpStatus", "IsTamperProtected")?,
        image.is_golden(),
    ) {
        (true, _) => pass("on"),
        (false, true) => warn("off; the tenant turns it on when the machine is managed"),
        (false, false) => fail("off"),
    }
}

impl Image<'_> {
    fn is_golden(&self) -> bool {
        let role = self.expected.role.or_else(|| self.evidence.role());
        role != Some(Role::Pooled)
    }
}

fn one_of(image: &Image<'_>, name: &str, good: &[i64], fair: &[i64]) -> Checked {
    let value = image.evidence.number("mpPref", name)?;
    let seen = format!("{name} is {value}");
    if fair.contains(&value) {
        return warn(seen);
    }
    hold(good.contains(&value), seen)
}

pub(in crate::golden_image) fn maps(image: &Image<'_>) -> Checked {
    one_of(image, "MAPSReporting", &[2], &[1])
}

pub(in crate::golden_image) fn samples(image: &Image<'_>) -> Checked {
    one_of(image, "SubmitSamplesConsent", &[1, 3], &[])
}

pub(in crate::golden_image) fn switch(image: &Image<'_>, name: &str, good: bool) -> Checked {
    let value = image.evidence.bool("mpPref", name)?;
    hold(value == good, format!("{name} is {value}"))
}

pub(in crate::golden_image) fn first_sight(image: &Image<'_>) -> Checked {
    switch(image, "DisableBlockAtFirstSeen", false)
}

pub(in crate::golden_image) fn cloud_level(image: &Image<'_>) -> Checked {
    let level = image.evidence.number("mpPref", "CloudBlockLevel")?;
    let seconds = image.evidence.number("mpPref", "CloudExtendedTimeout")?;
    hold(
        level >= 2 && seconds >= 20,
        format!("CloudBlockLevel {level}, CloudExtendedTimeout {seconds} s"),
    )
}

pub(in crate::golden_image) fn unwanted(image: &Image<'_>) -> Checked {
    one_of(image, "PUAProtection", &[1], &[2])
}

pub(in crate::golden_image) fn network(image: &Image<'_>) -> Checked {
    one_of(image, "EnableNetworkProtection", &[1, 2], &[])
}

pub(in crate::golden_image) fn file_hashes(image: &Image<'_>) -> Checked {
    match image.evidence.bool("mpPref", "EnableFileHashComputation")? {
        true => pass("on"),
        false => warn("off; needed when the tenant blocks files by hash"),
    }
}

pub(in crate::golden_image) fn default_actions(image: &Image<'_>) -> Checked {
    let mut seen = Vec::new();
    let mut good = true;
    for threat in ["Low", "Moderate", "High", "Severe"] {
        let action = image
            .evidence
            .number("mpPref", &format!("{threat}ThreatDefaultAction"))?;
        good &= [0, 2].contains(&action);
        seen.push(format!("{threat} {action}"));
    }
    hold(good, seen.join(", "))
}
