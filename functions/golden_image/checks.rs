//! The pass conditions of the checklist, a function an item or family.

mod antivirus;
mod fslogix;
mod image;
mod intelligence;
mod pooled;
mod scans;

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    EntryModel, Evidence, Startup,
    assessment::{Expectation, State},
    evidence::{Read, field, hidden, instant, items, number},
};
use crate::report::text::visible;

pub(super) use self::{antivirus::*, fslogix::*, image::*, intelligence::*, pooled::*, scans::*};

/// `HKLM` key of the sensor.
const SENSOR: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection";
const STATUS: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\Status";
const SUBKEY: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\48A68F11-7A16-4180-B32C-7F974C7BD783";
const POLICY: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";
const TAGGING: &str =
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging";
const PROFILES: &str = r"HKLM\SOFTWARE\FSLogix\Profiles";
const UPDATES: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Signature Updates";
const IDENTITIES: [&str; 3] = [
    "2567E824-34AB-4A74-90E9-BC0F8BDFAA4A",
    "7DC0B629-D7F6-4DB3-9BF7-64D5AAF50F1A",
    "C9D38BBB-E9DD-4B27-8E6F-7DE97E68DAB9",
];
const PS1: &str = "Onboard-NonPersistentMachine.ps1";
const CMD: &str = "WindowsDefenderATPOnboardingScript.cmd";

/// A machine and what is expected of it.
pub(super) struct Image<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) expected: &'a Expectation,
}

/// How an item came out, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) seen: String,
}

type Checked = Result<Outcome, Outcome>;

/// The evidence does not tell.
pub(super) fn not_assessable(seen: &str) -> Outcome {
    outcome(State::NotAssessable, seen)
}

fn outcome(state: State, seen: impl AsRef<str>) -> Outcome {
    let short: String = visible(seen.as_ref()).chars().take(600).collect();
    Outcome { state, seen: short }
}

fn pass(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Pass, seen))
}

fn warn(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Warn, seen))
}

fn fail(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Fail, seen))
}

fn skip(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::NotApplicable, seen))
}

fn hold(holds: bool, seen: impl AsRef<str>) -> Checked {
    if holds { pass(seen) } else { fail(seen) }
}

/// A list for a person, cut where it gets long.
fn list(texts: &[String]) -> String {
    const MOST: usize = 12;
    match texts.len() {
        0 => "none".into(),
        count if count > MOST => format!("{} and {} more", texts[..MOST].join(", "), count - MOST),
        _ => texts.join(", "),
    }
}
