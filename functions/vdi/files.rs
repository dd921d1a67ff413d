//! The files of a report: the same report gives the same bytes.
//!
//! The names and the order of the columns are a contract with the readers of the files.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Affected, Antivirus, Finding, HygieneReport, PoolDevice, html};
use crate::report::{
    csv::{self, Column},
    run::{CSV, File, JSON},
};

/// All files of a report, in the order in which they are written.
///
/// With `bom`, the CSV files start with the byte order mark that Excel needs.
pub fn render(report: &HygieneReport, bom: bool) -> Vec<File> {
    let mark = if bom { "\u{feff}" } else { "" };
    let findings: Vec<(&Finding, &Affected)> = report
        .affected
        .iter()
        .flat_map(|(finding, affected)| affected.iter().map(move |one| (finding, one)))
        .collect();
    vec![
        csv("findings.csv", mark, &finding_columns(), &findings),
        csv("devices.csv", mark, &DEVICE_COLUMNS, &report.devices),
        File {
            name: "summary.json",
            content_type: JSON,
            text: serde_json::to_string_pretty(&report.summary).unwrap_or_default() + "\n",
            rows: 0,
        },
        File {
            name: "vdi.html",
            content_type: "text/html; charset=utf-8",
            text: html::render(report),
            rows: 0,
        },
    ]
}

fn csv<R>(name: &'static str, mark: &str, columns: &[Column<R>], rows: &[R]) -> File {
    File {
        name,
        content_type: CSV,
        text: csv::render_behind(mark, columns, rows),
        rows: rows.len(),
    }
}

/// A time in RFC 3339; empty if it is not known.
pub(super) fn time(at: Option<OffsetDateTime>) -> String {
    let at = at.and_then(|at| at.replace_nanosecond(0).ok());
    at.and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[rustfmt::skip]
fn finding_columns<'a>() -> [Column<(&'a Finding, &'a Affected)>; 8] {
    [
        ("id", |(finding, _)| finding.id.to_string()),
        ("severity", |(finding, _)| finding.severity.as_str().to_owned()),
        ("deviceId", |(_, one)| one.device_id.clone()),
        ("host", |(_, one)| one.host.clone()),
        ("title", |(finding, _)| finding.title.to_string()),
        ("detail", |(_, one)| one.detail.clone()),
        ("lastSeen", |(_, one)| one.last_seen.clone()),
        ("nextStep", |(finding, _)| finding.next_step.to_string()),
    ]
}

#[rustfmt::skip]
const DEVICE_COLUMNS: [Column<PoolDevice>; 13] = [
    ("deviceId", |record| record.device.id.clone()),
    ("host", |record| record.device.name.clone()),
    ("shortName", |record| record.device.short.clone()),
    ("domain", |record| record.device.domain.clone()),
    ("lastSeen", |record| time(record.device.last_seen)),
    ("state", |record| state(record).to_owned()),
    ("sensorHealth", |record| record.device.health.clone()),
    ("tags", |record| record.device.tags.join("; ")),
    ("antivirusMode", |record| antivirus(record, |antivirus| antivirus.mode.clone())),
    ("signatureUpToDate", |record| antivirus(record, |antivirus| antivirus.up_to_date[0].clone())),
    ("engineUpToDate", |record| antivirus(record, |antivirus| antivirus.up_to_date[1].clone())),
    ("platformUpToDate", |record| antivirus(record, |antivirus| antivirus.up_to_date[2].clone())),
    ("findings", |record| record.findings.join(" ")),
];

fn state(record: &PoolDevice) -> &'static str {
    match (record.is_live, record.is_leftover) {
        (true, _) => "live",
        (false, true) => "leftover",
        (false, false) => "inactive",
    }
}

fn antivirus(record: &PoolDevice, part: fn(&Antivirus) -> String) -> String {
    record
        .device
        .antivirus
        .as_ref()
        .map(part)
        .unwrap_or_default()
}
