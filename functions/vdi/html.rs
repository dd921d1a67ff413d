//! `vdi.html`: the report for people, drawn by `page.html`.

use askama::Template;

use super::{Affected, Counts, Finding, HygieneReport, Point, Summary};
use crate::report::html::{self, Emphasis, Figure, Line, Noun};

/// The most rows of a finding on the page; the CSV file has all of them.
const MAX_ROWS: usize = 500;

const COLUMNS: [&str; 4] = ["Host", "Device id", "Seen", "Last seen"];

/// The noun of a number, how it is read, and when it stands out.
type Number = (Noun, fn(&Counts) -> Option<usize>, Emphasis);

/// The numbers on top of the page.
const NUMBERS: [Number; 12] = [
    (
        Noun("host", "hosts"),
        |counts| counts.hosts,
        Emphasis::Plain,
    ),
    (
        Noun("device record", "device records"),
        |counts| counts.devices,
        Emphasis::Plain,
    ),
    (
        Noun("golden image onboarded", "golden images onboarded"),
        |counts| counts.golden_onboarded,
        Emphasis::AboveZero,
    ),
    (
        Noun("cloned device", "cloned devices"),
        |counts| counts.cloned_devices,
        Emphasis::AboveZero,
    ),
    (
        Noun(
            "host with several live records",
            "hosts with several live records",
        ),
        |counts| counts.duplicate_hosts,
        Emphasis::AboveZero,
    ),
    (
        Noun(
            "live device with old antivirus",
            "live devices with old antivirus",
        ),
        |counts| counts.stale_antivirus,
        Emphasis::AboveZero,
    ),
    (
        Noun::any("with passive or disabled antivirus"),
        |counts| counts.passive_antivirus,
        Emphasis::AboveZero,
    ),
    (
        Noun::any("with unknown antivirus"),
        |counts| counts.unknown_antivirus,
        Emphasis::Plain,
    ),
    (
        Noun::any("without the tag"),
        |counts| counts.untagged,
        Emphasis::AboveZero,
    ),
    (
        Noun("expected host missing", "expected hosts missing"),
        |counts| counts.missing_hosts,
        Emphasis::AboveZero,
    ),
    (
        Noun("inactive record", "inactive records"),
        |counts| counts.inactive,
        Emphasis::Plain,
    ),
    (
        Noun(
            "of these, a leftover of a reset host",
            "of these, leftovers of reset hosts",
        ),
        |counts| counts.leftovers,
        Emphasis::Plain,
    ),
];

#[derive(Template)]
#[template(path = "vdi/page.html")]
struct Page<'a> {
    title: &'static str,
    s: &'a Summary,
    lines: Vec<Line>,
    lines_runs: usize,
    affected: &'a [(Finding, Vec<Affected>)],
}

/// The HTML page of a report.
pub(super) fn render(report: &HygieneReport) -> String {
    let s = &report.summary;
    let past: Vec<&Point> = s.trend.iter().filter(|point| point.complete).collect();
    html::render(&Page {
        title: "Defender on virtual desktops",
        s,
        lines: lines(&past, &s.counts),
        lines_runs: past.len() + 1,
        affected: &report.affected,
    })
}

/// In a complete report a number is unknown only where it was not asked for.
fn figures(s: &Summary) -> Vec<Figure> {
    NUMBERS
        .iter()
        .map(|&(noun, read, emphasis)| Figure {
            noun,
            count: read(&s.counts),
            emphasis,
        })
        .filter(|figure| !s.complete || figure.count.is_some())
        .collect()
}

/// The lines over the complete runs, this run last.
///
/// A run that did not know a number is left out.
fn lines(past: &[&Point], now: &Counts) -> Vec<Line> {
    if past.is_empty() {
        return Vec::new();
    }
    let line = |&(noun, read, _): &Number| {
        let now = read(now)?;
        let past = past.iter().filter_map(|point| read(&point.counts));
        Some(Line {
            noun,
            values: past.chain([now]).collect(),
        })
    };
    NUMBERS.iter().filter_map(line).collect()
}

/// The parts of a text; those with an odd index were between backticks.
fn parts_with_code(text: &str) -> Vec<(usize, &str)> {
    text.split('`').enumerate().collect()
}
