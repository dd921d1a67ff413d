//! `vdi.html`: the report for people, in the frame of every report.

use super::{Affected, Counts, Finding, HygieneReport, Point};
use crate::report::{
    html::{page, row, sparkline, table},
    markup,
};

/// Most rows of a finding; the CSV has them all.
const MAX_ROWS: usize = 500;

type Number = (&'static str, fn(&Counts) -> Option<usize>, bool);

/// What is shown on top, and whether more than none is bad.
const NUMBERS: [Number; 12] = [
    ("hosts", |counts| counts.hosts, false),
    ("device records", |counts| counts.devices, false),
    (
        "golden images onboarded",
        |counts| counts.golden_onboarded,
        true,
    ),
    ("cloned devices", |counts| counts.cloned_devices, true),
    (
        "hosts with several live records",
        |counts| counts.duplicate_hosts,
        true,
    ),
    (
        "live devices with old antivirus",
        |counts| counts.stale_antivirus,
        true,
    ),
    (
        "with passive or disabled antivirus",
        |counts| counts.passive_antivirus,
        true,
    ),
    (
        "with unknown antivirus",
        |counts| counts.unknown_antivirus,
        false,
    ),
    ("without the tag", |counts| counts.untagged, true),
    (
        "expected hosts missing",
        |counts| counts.missing_hosts,
        true,
    ),
    ("inactive records", |counts| counts.inactive, false),
    (
        "of these, leftovers of reset hosts",
        |counts| counts.leftovers,
        false,
    ),
];

/// The whole page.
pub(super) fn render(report: &HygieneReport) -> String {
    let s = &report.summary;
    let mut body = format!(
        "<p class=\"soft\">As of {}. A record is live when it was active in the last 48 hours of the data.</p>\n",
        markup::html(&s.as_of)
    );
    if !s.complete {
        let reasons: String = s
            .reasons
            .iter()
            .map(|reason| format!("<li>{}</li>\n", markup::html(reason)))
            .collect();
        body.push_str(&format!("<div class=\"warning\"><p>NOT complete. What could not be read is shown as unknown:</p>\n<ul>\n{reasons}</ul></div>\n"));
    }
    if s.counts.devices == Some(0) {
        body.push_str("<p class=\"warning\">No device record matches <code>VDI_HOST_PATTERN</code> or carries the tag. Check the pattern before you conclude anything.</p>\n");
    }
    // In a complete report a number is unknown only where nobody asked for it.
    let figures: String = NUMBERS
        .iter()
        .filter(|(_, of, _)| !s.complete || of(&s.counts).is_some())
        .map(|number| figure(number, &s.counts))
        .collect();
    body.push_str(&format!("<ul class=\"figures\">\n{figures}</ul>\n"));
    body.push_str(&over_time(report));
    if report.affected.is_empty() {
        let none = match s.complete {
            true => "None.",
            false => "None in what could be read; see above what could not.",
        };
        body.push_str(&format!("<h2>Findings</h2>\n<p>{none}</p>\n"));
    }
    for (finding, affected) in &report.affected {
        body.push_str(&section(finding, affected));
    }
    page("Defender on virtual desktops", &body)
}

fn figure((what, of, is_bad): &Number, counts: &Counts) -> String {
    let number = of(counts);
    let class = if *is_bad && number != Some(0) && number.is_some() {
        " class=\"bad\""
    } else {
        ""
    };
    let shown = number.map_or("unknown".to_owned(), |number| number.to_string());
    format!(
        "<li{class}><strong>{shown}</strong> {}</li>\n",
        markup::html(what)
    )
}

/// The lines over the runs, this one last; a run that did not know is left out.
fn over_time(report: &HygieneReport) -> String {
    let past: Vec<&Point> = report
        .summary
        .trend
        .iter()
        .filter(|point| point.complete)
        .collect();
    if past.is_empty() {
        return String::new();
    }
    let items: String = NUMBERS
        .iter()
        .filter_map(|(what, of, _)| {
            let now = of(&report.summary.counts)?;
            let values: Vec<usize> = past
                .iter()
                .filter_map(|point| of(&point.counts))
                .chain([now])
                .collect();
            Some(format!(
                "<li>{} {now} {}</li>\n",
                sparkline(what, &values),
                markup::html(what)
            ))
        })
        .collect();
    format!(
        "<h2>Over the last {} runs</h2>\n<ul class=\"lines\">\n{items}</ul>\n",
        past.len() + 1
    )
}

/// A text whose parts between backticks are code.
fn code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let part = markup::html(part);
        if index % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            part
        }
    });
    parts.collect()
}

fn section(finding: &Finding, affected: &[Affected]) -> String {
    let rows: String = affected
        .iter()
        .take(MAX_ROWS)
        .map(|one| row(&[&one.host, &one.device_id, &one.detail, &one.last_seen]))
        .collect();
    let more = affected.len().saturating_sub(MAX_ROWS);
    let note = if more > 0 {
        format!("<p>{more} more are in findings.csv.</p>\n")
    } else {
        String::new()
    };
    format!(
        "<h2>{}: {}</h2>\n<p>{} ({}). Next: {}.</p>\n{}{note}",
        finding.id,
        markup::html(&finding.title),
        finding.severity.as_str(),
        finding.devices,
        code(&finding.next_step),
        table(
            "Devices",
            &["Host", "Device id", "Seen", "Last seen"],
            &rows
        )
    )
}
