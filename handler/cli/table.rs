//! The table of verdicts that people read.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use functions::{
    hashes::{HashResult, ItemStatus, LookupAnswer, Verdict},
    report::text::{counted, visible},
};

/// Least width of a table; a narrower terminal wraps the lines itself.
const LEAST_WIDTH: u16 = 110;

/// An empty table with this header; on a terminal it is fitted to its width.
pub(super) fn fitted(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(table.width().unwrap_or_default().max(LEAST_WIDTH));
    } else {
        table.force_no_tty();
    }
    table
}

/// The answer as a table; on a terminal it is fitted to its width.
pub(super) fn table(answer: &LookupAnswer, color: bool, fit_terminal: bool) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["VERDICT", "HASH", "DEVICES", "WHY"]);
    if fit_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(table.width().unwrap_or_default().max(LEAST_WIDTH));
    } else {
        table.force_no_tty();
    }
    if color {
        table.enforce_styling();
    }
    for result in &answer.results {
        let (word, paint) = verdict_word(result);
        let devices = result
            .file
            .as_ref()
            .and_then(|file| file.global_prevalence)
            .map(|count| count.to_string());
        let mut verdict = Cell::new(word);
        if color {
            verdict = verdict.fg(paint).add_attribute(Attribute::Bold);
        }
        table.add_row([
            verdict,
            Cell::new(visible(&result.hash)),
            Cell::new(devices.unwrap_or_default()),
            Cell::new(why(result)),
        ]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt()
}

fn verdict_word(result: &HashResult) -> (String, Color) {
    let (word, color) = match (result.verdict, result.status) {
        (Some(Verdict::Malicious), _) => ("Malicious", Color::Red),
        (Some(Verdict::Suspicious), _) => ("Suspicious", Color::Yellow),
        (Some(Verdict::Clean), _) => ("Clean", Color::Green),
        (Some(Verdict::Unknown), _) => ("Unknown", Color::Grey),
        (None, ItemStatus::Invalid) => ("invalid", Color::Magenta),
        (None, ItemStatus::Throttled) => ("NOT CHECKED", Color::Magenta),
        (None, _) => ("FAILED", Color::Magenta),
    };
    (
        if result.stale {
            format!("{word} (stale)")
        } else {
            word.to_owned()
        },
        color,
    )
}

fn why(result: &HashResult) -> String {
    let reason = result.reasons.first().map(|reason| reason.text.as_str());
    let error = result.error.as_ref().map(|error| error.detail.as_str());
    let mut why = visible(reason.or(error).unwrap_or_default());
    let signer = result.file.as_ref().and_then(|file| {
        let valid = if file.is_valid_certificate == Some(true) {
            "signed by"
        } else {
            "signature not valid, names"
        };
        file.signer
            .as_ref()
            .map(|signer| format!("; {valid} {}", visible(signer)))
    });
    why.push_str(&signer.unwrap_or_default());
    why
}

/// The counts below the table.
pub(super) fn summary(answer: &LookupAnswer) -> String {
    let s = &answer.summary;
    let mut line = format!(
        "{}: {} malicious, {} suspicious, {} unknown, {} clean, {} invalid",
        counted(s.total, "hash", "hashes"),
        s.malicious,
        s.suspicious,
        s.unknown,
        s.clean,
        s.invalid
    );
    if s.failed > 0 {
        let hashes = counted(s.total, "hash", "hashes");
        line.push_str(&format!("\n{} of {hashes} NOT checked", s.failed));
    }
    line.push_str("\nClean means \"no detection by Microsoft\", not an approval.");
    line
}
