//! The command `coverage workbook`: the AI column in saved Coverage workbooks.

use std::{collections::BTreeMap, io::Write, time::Duration};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use functions::coverage::workbook::Inspection;
use functions::report::text::{json, visible};

use super::{Exit, log, printed, say, with_services};
use crate::services::workbook::WorkbookKeeper;

/// Longest time for all copies.
const TIME: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub(super) struct WorkbookArgs {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

pub(super) fn run(args: &WorkbookArgs, variables: &BTreeMap<String, String>) -> Exit {
    log(args.verbose);
    let interrupted = "interrupted; a workbook is written completely or not at all";
    with_services(variables, interrupted, |_, services| async move {
        inspect(&services.workbooks, args.format).await
    })
}

/// Inspects the copies and prints them.
pub(super) async fn inspect(workbooks: &WorkbookKeeper, format: Format) -> Exit {
    let inspection = match workbooks.inspect(TIME).await {
        Ok(inspection) => inspection,
        Err(error) => {
            say(&format!("error: {}", visible(&error.detail)));
            return Exit::Incomplete;
        }
    };
    let shown = print(format, &inspection);
    for reason in &inspection.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    let needs_work = inspection.copies.iter().any(|copy| copy.needs_work());
    if needs_work && !inspection.repair {
        say("`WORKBOOK_REPAIR=true` writes what is missing");
    }
    let exit = match (needs_work, inspection.reasons.is_empty()) {
        (true, _) => Exit::Found,
        (false, true) => Exit::Complete,
        (false, false) => Exit::Incomplete,
    };
    printed(shown, exit)
}

fn print(format: Format, inspection: &Inspection) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if format == Format::Json {
        return stdout.write_all(json(inspection)?.as_bytes());
    }
    if inspection.copies.is_empty() {
        return writeln!(stdout, "No saved copy of the Coverage workbook was found.");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["STATE", "NAME", "WORKBOOK", "MISSING", "PROBLEM"]);
    table.force_no_tty();
    for copy in &inspection.copies {
        let mut state: Vec<&str> = copy.drift.iter().map(|drift| drift.as_str()).collect();
        if copy.repaired {
            state.push("repaired");
        }
        let missing = if copy.repaired { 0 } else { copy.edits.len() };
        let noun = if missing == 1 { "edit" } else { "edits" };
        table.add_row([
            state.join(" "),
            visible(&copy.display_name),
            visible(&copy.id),
            format!("{missing} {noun}"),
            visible(&copy.problem),
        ]);
    }
    writeln!(stdout, "{}", table.trim_fmt())
}
