//! Prints a report: a table and a sentence.

use std::io::Write;

use functions::{
    report::text::{json, visible},
    vdi::{Counts, Summary},
};

use super::Format;
use crate::cli::table::fitted;

pub(super) fn print(format: Format, summary: &Summary) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => stdout.write_all(json(summary)?.as_bytes()),
        Format::Table => {
            if !summary.findings.is_empty() {
                writeln!(stdout, "{}\n", table(summary))?;
            }
            writeln!(stdout, "{}", sentence(&summary.counts))
        }
    }
}

fn table(summary: &Summary) -> String {
    let mut table = fitted(&[
        "FINDING",
        "SEVERITY",
        "DEVICES",
        "WHAT",
        "FOR EXAMPLE",
        "WHAT TO DO",
    ]);
    for finding in &summary.findings {
        let hosts: Vec<&str> = finding
            .examples
            .iter()
            .take(3)
            .map(|one| one.host.as_str())
            .collect();
        table.add_row([
            &finding.id,
            finding.severity.as_str(),
            &finding.devices.to_string(),
            &visible(&finding.title),
            &visible(&hosts.join(", ")),
            &visible(&finding.next_step),
        ]);
    }
    table.trim_fmt()
}

fn sentence(counts: &Counts) -> String {
    let counted = |number: Option<usize>, one: &str, many: &str| match number {
        None => format!("an unknown number of {many}"),
        Some(1) => format!("1 {one}"),
        Some(number) => format!("{number} {many}"),
    };
    let mut sentence = format!(
        "{}, {}: {}, including {} of reset hosts.",
        counted(counts.hosts, "host", "hosts"),
        counted(counts.devices, "device record", "device records"),
        counted(counts.inactive, "inactive", "inactive"),
        counted(counts.leftovers, "leftover", "leftovers")
    );
    if counts.unknown_antivirus != Some(0) {
        sentence += &format!(
            " The antivirus state of {} is not known.",
            counted(counts.unknown_antivirus, "live device", "live devices")
        );
    }
    let not_known = [
        ("duplicate hosts", counts.duplicate_hosts),
        ("cloned devices", counts.cloned_devices),
        ("missing tags", counts.untagged),
        ("old antivirus", counts.stale_antivirus),
        ("passive antivirus", counts.passive_antivirus),
    ];
    let not_known = not_known.iter().filter(|(_, number)| number.is_none());
    let not_known: Vec<&str> = not_known.map(|(name, _)| *name).collect();
    if !not_known.is_empty() {
        sentence += &format!(" NOT known: {}.", not_known.join(", "));
    }
    sentence
}
