//! The machine that is checked, and the names that several checks look for.

use super::{evidence::Evidence, expectation::Expectation};

/// `HKLM` key of the sensor.
pub(super) const SENSOR: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection";
pub(super) const STATUS: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\Status";
pub(super) const SUBKEY: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\48A68F11-7A16-4180-B32C-7F974C7BD783";
pub(super) const POLICY: &str =
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";
pub(super) const TAGGING: &str =
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging";
pub(super) const PROFILES: &str = r"HKLM\SOFTWARE\FSLogix\Profiles";
pub(super) const UPDATES: &str =
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Signature Updates";
pub(super) const IDENTITIES: [&str; 3] = [
    "2567E824-34AB-4A74-90E9-BC0F8BDFAA4A",
    "7DC0B629-D7F6-4DB3-9BF7-64D5AAF50F1A",
    "C9D38BBB-E9DD-4B27-8E6F-7DE97E68DAB9",
];
pub(super) const PS1: &str = "Onboard-NonPersistentMachine.ps1";
pub(super) const CMD: &str = "WindowsDefenderATPOnboardingScript.cmd";

/// A machine and what is expected of it.
pub(super) struct Image<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) expected: &'a Expectation,
}

/// A list for a person, cut where it gets long.
pub(super) fn list(texts: &[String]) -> String {
    const MAX: usize = 12;
    match texts.len() {
        0 => "none".into(),
        count if count > MAX => format!("{} and {} more", texts[..MAX].join(", "), count - MAX),
        _ => texts.join(", "),
    }
}
