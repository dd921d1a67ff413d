//! `coverage`: which subscriptions have the Defender plans, from a terminal.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use functions::{
    coverage::{CoverageReport, PlanCoverage, files, html, plan::AI},
    report::text::visible,
};
use tracing::level_filters::LevelFilter;

use super::{Exit, block_on, refuse, say};
use crate::{
    config::{Config, Purpose},
    http::{HttpClient, TimeLimits},
    services::Services,
    telemetry::{self, Reader},
};

/// A command reads for as long as the largest tenants need.
const TIME: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub(super) struct CoverageArgs {
    /// What is printed: a table of the AI plan, the sums as JSON, every row as CSV, or the page
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write all files of the report into this folder, which must not hold others
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Html,
}

pub(super) fn run(args: &CoverageArgs, variables: &BTreeMap<String, String>) -> Exit {
    let level = if args.verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::OFF
    };
    telemetry::start(Reader::Person, level);
    let config = match Config::read(variables, Purpose::Command) {
        Ok(config) => config,
        Err(problems) => return refuse(Reader::Person, &problems),
    };
    block_on(async {
        let services = Services::new(&config, Arc::new(HttpClient::new(TimeLimits::default())));
        let report = tokio::select! {
            report = services.coverage.report(TIME) => report,
            _ = tokio::signal::ctrl_c() => {
                say("interrupted; nothing was written");
                return Exit::Incomplete;
            }
        };
        if let Some(folder) = &args.out
            && let Err(error) = write(folder, &report, config.csv_bom)
        {
            say(&format!(
                "error: {} cannot be written: {error}",
                folder.display()
            ));
            return Exit::Unusable;
        }
        // A closed pipe is no mistake of ours.
        let _ = print(args.format, &report);
        for reason in &report.summary.reasons {
            say(&format!("NOT complete: {}", visible(reason)));
        }
        if report.summary.complete {
            Exit::Whole
        } else {
            Exit::Incomplete
        }
    })
}

/// Writes every file, none over another.
fn write(folder: &Path, report: &CoverageReport, bom: bool) -> std::io::Result<()> {
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
        Format::Json => {
            serde_json::to_writer_pretty(&mut stdout, &report.summary)?;
            writeln!(stdout)
        }
        Format::Csv if stdout.is_terminal() => {
            let csv = files::coverage(report);
            csv.lines()
                .try_for_each(|line| writeln!(stdout, "{}", visible(line)))
        }
        Format::Csv => stdout.write_all(files::coverage(report).as_bytes()),
        Format::Html => stdout.write_all(html::render(report).as_bytes()),
        Format::Table => writeln!(stdout, "{}\n\n{}", table(report), sums(report)),
    }
}

/// The AI plan of every subscription, exposed ones first.
fn table(report: &CoverageReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "AI PLAN",
        "AI ACCOUNTS",
        "SUBSCRIPTION",
        "NAME",
        "EXTENSIONS OFF",
    ]);
    table.force_no_tty();
    let mut rows: Vec<&PlanCoverage> = report.rows.iter().filter(|row| &*row.plan == AI).collect();
    rows.sort_by_key(|row| (!row.exposed, std::cmp::Reverse(row.ai_accounts), row.state));
    for row in rows {
        let state = match (row.exposed, row.subscription.is_enabled()) {
            (true, _) => format!("{} EXPOSED", row.state.as_str()),
            (false, true) => row.state.as_str().to_owned(),
            (false, false) => format!(
                "{} ({})",
                row.state.as_str(),
                visible(&row.subscription.state)
            ),
        };
        table.add_row([
            state,
            row.ai_accounts.to_string(),
            row.subscription.subscription_id.clone(),
            visible(&row.subscription.name),
            row.extensions_off.join(" "),
        ]);
    }
    table.trim_fmt()
}

fn sums(report: &CoverageReport) -> String {
    let s = &report.summary;
    format!(
        "{} subscriptions ({} not enabled): AI plan on in {}, off in {}, not registered in {}, not listed in {}, not available in {}, not readable in {}\n\
         {} AI accounts exposed; {} paid plans on",
        s.subscriptions,
        s.disabled_subscriptions,
        s.ai_on,
        s.ai_off,
        s.ai_not_registered,
        s.ai_not_listed,
        s.ai_not_available,
        s.ai_not_readable,
        s.exposed,
        s.paid_plans_on
    )
}
