//! Prints a report: a table, files, or the text of one file.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::Path,
};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use functions::{
    coverage::{AiPlan, CoverageReport, Totals, files, html},
    report::text::{json, visible},
};

use super::CoverageArgs;
use crate::cli::{Exit, printed, say, shown};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
    Html,
}

pub(super) fn print_report(args: &CoverageArgs, report: &CoverageReport, bom: bool) -> Exit {
    if let Some(folder) = &args.out
        && let Err(error) = write(folder, report, bom)
    {
        say(&format!(
            "error: {} cannot be written: {error}",
            shown(folder)
        ));
        return Exit::Unusable;
    }
    let written = print(args.format, report);
    if args.since.is_some() && report.summary.since.is_none() {
        say("the previous run has another `COVERAGE_SCOPE`, so nothing is compared");
    }
    for reason in &report.summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    let exit = match report.summary.complete {
        true => Exit::Complete,
        false => Exit::Incomplete,
    };
    printed(written, exit)
}

/// Writes every file, and overwrites none.
pub(super) fn write(folder: &Path, report: &CoverageReport, bom: bool) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for file in files::render(report, bom) {
        let mut open = fs::File::create_new(folder.join(file.name))?;
        open.write_all(file.text.as_bytes())?;
    }
    Ok(())
}

fn print(format: Format, report: &CoverageReport) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => stdout.write_all(json(&report.summary)?.as_bytes()),
        Format::Csv if stdout.is_terminal() => {
            let csv = files::coverage(report);
            csv.lines()
                .try_for_each(|line| writeln!(stdout, "{}", visible(line)))
        }
        Format::Csv => stdout.write_all(files::coverage(report).as_bytes()),
        Format::Html => stdout.write_all(html::render(report).as_bytes()),
        Format::Table => {
            if report.summary.since.is_some() {
                writeln!(stdout, "{}\n", changes(report))?;
            }
            let sums = Totals::of(&report.summary).text();
            writeln!(stdout, "{}\n\n{sums}", table(&AiPlan::of(report)))
        }
    }
}

/// The changes, downgrades first.
fn changes(report: &CoverageReport) -> String {
    let since = report.summary.since.as_deref().unwrap_or_default();
    if report.changes.is_empty() {
        return format!("Nothing changed since {since}.");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        &format!("CHANGE SINCE {since}"),
        "SUBSCRIPTION",
        "NAME",
        "PLAN",
        "BEFORE",
        "AFTER",
        "",
    ]);
    table.force_no_tty();
    for change in &report.changes {
        let confirmed = match change.confirmed {
            Some(false) => "NOT confirmed by Resource Manager",
            _ => "",
        };
        let name = visible(&change.subscription_name);
        let cells = [
            change.change.as_str(),
            &change.subscription_id,
            &name,
            &change.plan,
            &change.before,
            &change.after,
            confirmed,
        ];
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// Defender for AI in every subscription.
fn table(rows: &[AiPlan]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "DEFENDER FOR AI",
        "AI ACCOUNTS",
        "SUBSCRIPTION",
        "NAME",
        "EXTENSIONS OFF",
    ]);
    table.force_no_tty();
    for row in rows {
        let state = match (row.is_exposed(), row.is_enabled()) {
            (true, _) => format!("{} EXPOSED", row.state),
            (false, true) => row.state.clone(),
            (false, false) => format!("{} ({})", row.state, visible(&row.subscription_state)),
        };
        table.add_row([
            state,
            row.ai_accounts.clone(),
            visible(&row.subscription_id),
            visible(&row.subscription_name),
            visible(&row.extensions_off),
        ]);
    }
    table.trim_fmt()
}

pub(super) fn print_file(
    format: Format,
    text: &str,
    rows: &[AiPlan],
    sums: &Totals,
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Table => writeln!(stdout, "{}\n\n{}", table(rows), sums.text()),
        Format::Csv if stdout.is_terminal() => text
            .lines()
            .try_for_each(|line| writeln!(stdout, "{}", visible(line))),
        _ => stdout.write_all(text.as_bytes()),
    }
}
