//! A run of a report in storage: the paths of its files, and its manifest.
//!
//! Folders are named as Power BI, Fabric and Synapse expect partitions. Readers
//! see a run when its folder contains `manifest.json`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, UtcOffset};

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder of the run.
    pub name: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Its content.
    pub text: String,
    /// The number of data rows; 0 for a file without rows.
    pub rows: usize,
}

/// Content type of CSV files.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// Content type of JSON files.
pub const JSON: &str = "application/json";

/// The time that a run is for, such as `20261123T060000Z`, in UTC.
///
/// Slots sort in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slot(String);

/// A text that is not a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run is named by its time in UTC, such as 20261123T060000Z")]
pub struct NoSlot;

impl Slot {
    /// The slot of a time in UTC: year from 0 to 9999, month, day, and hour,
    /// minute, second.
    pub fn at((year, month, day): (i32, u8, u8), (hour, minute, second): (u8, u8, u8)) -> Self {
        Self(format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
        ))
    }

    /// The slot of a run: the occurrence of the timer that it is for, or `now` for a run
    /// that a person starts.
    ///
    /// `next` of the timer is that occurrence if it is about now, or if an occurrence was
    /// missed; otherwise it is the one after it.
    pub fn of_timer(
        next: Option<OffsetDateTime>,
        timeliness: Timeliness,
        now: OffsetDateTime,
    ) -> Self {
        let occurrence = next.filter(|next| {
            let is_now =
                now - Duration::minutes(10) <= *next && *next <= now + Duration::minutes(1);
            is_now || (timeliness == Timeliness::PastDue && *next < now)
        });
        let time = occurrence.unwrap_or(now).to_offset(UtcOffset::UTC);
        let (year, month, day) = time.to_calendar_date();
        Self::at((year, month.into(), day), time.to_hms())
    }
}

/// The state of the timer that starts a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// It starts at its time.
    OnTime,
    /// It missed an occurrence.
    PastDue,
}

impl FromStr for Slot {
    type Err = NoSlot;

    fn from_str(text: &str) -> Result<Self, NoSlot> {
        let fits = |(index, byte): (usize, u8)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        };
        if text.len() == 16 && text.bytes().enumerate().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoSlot)
        }
    }
}

impl TryFrom<String> for Slot {
    type Error = NoSlot;

    fn try_from(text: String) -> Result<Self, NoSlot> {
        text.parse()
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of the last file of a run.
pub const MANIFEST: &str = "manifest.json";

/// Folder of an attempt at a run of a report.
pub fn folder(report: &str, slot: &Slot, attempt: &str) -> String {
    let (year, month, day) = (&slot.0[..4], &slot.0[4..6], &slot.0[6..8]);
    format!("history/{report}/year={year}/month={month}/day={day}/run={slot}-{attempt}")
}

/// Folder of the commit records of a report.
pub fn commit_records(report: &str) -> String {
    format!("history/{report}/runs")
}

/// The record that makes one attempt the run of its slot.
pub fn commit_record(report: &str, slot: &Slot) -> String {
    format!("{}/{slot}.json", commit_records(report))
}

/// The pointer to the newest run.
pub fn latest(report: &str) -> String {
    format!("latest/{report}.json")
}

/// The description of a run.
///
/// `manifest.json`, the commit record and the pointer contain the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The run.
    pub slot: Slot,
    /// The time at which its facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// True if everything could be read.
    pub complete: bool,
    /// The reasons that it is incomplete, one sentence each.
    pub reasons: Vec<String>,
    /// Folder of its files, below the root of the history.
    pub folder: String,
    /// Version of the product.
    pub product_version: String,
    /// True if cells of CSV files that look like formulas get an apostrophe.
    pub csv_formula_guard: bool,
    /// SHA-256 of the text of each query.
    pub queries: BTreeMap<String, String>,
    /// Its files, in the order in which they were written.
    pub files: Vec<ManifestFile>,
}

impl Manifest {
    /// The key that sorts runs from the oldest to the newest.
    ///
    /// The time is not enough, because two runs can read in the same second.
    pub fn age(&self) -> (&str, &Slot) {
        (&self.as_of, &self.slot)
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// A file of a run, as its manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFile {
    /// Its name.
    pub name: String,
    /// Its content type.
    pub content_type: String,
    /// The number of data rows; 0 for a file without rows.
    pub rows: usize,
    /// Length in bytes.
    pub bytes: usize,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_slot_is_the_occurrence_of_the_timer_or_the_present() {
        let now = datetime!(2026-11-23 06:00:05 UTC);
        let of = |next, is_past_due| {
            let timeliness = match is_past_due {
                true => Timeliness::PastDue,
                false => Timeliness::OnTime,
            };
            Slot::of_timer(next, timeliness, now).to_string()
        };
        assert_eq!(
            of(Some(datetime!(2026-11-23 06:00 UTC)), false),
            "20261123T060000Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 06:01 UTC)), false),
            "20261123T060100Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 08:00 +2)), false),
            "20261123T060000Z"
        );
        // The one after this run, a run by hand, a missed one, no monitor.
        assert_eq!(
            of(Some(datetime!(2026-11-24 06:00 UTC)), false),
            "20261123T060005Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 00:00 UTC)), false),
            "20261123T060005Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 00:00 UTC)), true),
            "20261123T000000Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-24 06:00 UTC)), true),
            "20261123T060005Z"
        );
        assert_eq!(of(None, true), "20261123T060005Z");
        assert_eq!(of(None, false), "20261123T060005Z");
    }

    #[test]
    fn a_slot_names_the_folder_of_its_day() {
        let slot: Slot = "20261123T060000Z".parse().unwrap();
        assert_eq!(slot, Slot::at((2026, 11, 23), (6, 0, 0)));
        assert_eq!(
            folder("coverage", &slot, "a1"),
            "history/coverage/year=2026/month=11/day=23/run=20261123T060000Z-a1"
        );
        for text in [
            "",
            "20261123",
            "20261123T060000",
            "2026-11-23T06:00",
            "../../../../../a",
        ] {
            assert_eq!(text.parse::<Slot>(), Err(NoSlot), "{text}");
        }
        assert!(serde_json::from_str::<Slot>("\"../x\"").is_err());
    }
}
