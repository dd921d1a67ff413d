//! `coverage`: which subscriptions have the Defender plans, from a terminal.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use functions::{
    coverage::{Baseline, CoverageReport, PlanCoverage, files, html, plan::AI},
    report::{
        run::{NoSlot, Slot},
        text::visible,
    },
};
use tracing::level_filters::LevelFilter;

use super::{
    Exit, block_on, refuse, say, shown,
    workbook::{self, WorkbookArgs},
};
use crate::{
    clients::storage::StorageError,
    config::{Config, Purpose},
    http::{HttpClient, TimeLimits},
    services::{Services, coverage::Coverage},
    telemetry::{self, Reader},
};

/// A command reads for as long as the largest tenants need.
const TIME: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct CoverageArgs {
    #[command(subcommand)]
    command: Option<CoverageCommand>,
    /// What is printed: a table of the AI plan, the sums as JSON, every row as CSV, or the page
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write all files of the report into this folder, which must not hold others
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with a run of the history, named by its time such as 20261123T060000Z, or with the newest one
    #[arg(long, value_name = "RUN|latest")]
    since: Option<Since>,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum CoverageCommand {
    /// Look whether saved copies of Microsoft's Coverage workbook show the plan for AI
    Workbook(WorkbookArgs),
}

/// What a report is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Since {
    Latest,
    Run(Slot),
}

impl FromStr for Since {
    type Err = NoSlot;

    fn from_str(text: &str) -> Result<Self, NoSlot> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        text.parse().map(Self::Run)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Html,
}

pub(super) fn run(args: &CoverageArgs, variables: &BTreeMap<String, String>) -> Exit {
    if let Some(CoverageCommand::Workbook(args)) = &args.command {
        return workbook::run(args, variables);
    }
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
        let coverage = &services.coverage;
        let before = match &args.since {
            Some(since) => match before(coverage, since).await {
                Ok(before) => Some(before),
                Err((exit, problem)) => {
                    say(&format!("error: {problem}"));
                    return exit;
                }
            },
            None => None,
        };
        tokio::select! {
            compared = coverage.report(TIME, before.as_ref()) => tell(args, &compared.report, config.csv_bom),
            _ = tokio::signal::ctrl_c() => {
                say("interrupted; nothing was written");
                Exit::Incomplete
            }
        }
    })
}

/// The state of things in a run of the history.
async fn before(coverage: &Coverage, since: &Since) -> Result<Baseline, (Exit, String)> {
    let failed = |error: StorageError| (Exit::Incomplete, error.detail);
    let run = match since {
        Since::Latest => coverage.reports.newest().await.map_err(failed)?,
        Since::Run(slot) => coverage.reports.run_of(slot).await.map_err(failed)?,
    };
    let place = coverage.reports.place();
    let run = run.ok_or_else(|| {
        (
            Exit::Unusable,
            format!("there is no such run in {place}; `run coverage_report` makes one"),
        )
    })?;
    let before = coverage.baseline(&run).await.map_err(failed)?;
    before.ok_or_else(|| {
        (
            Exit::Unusable,
            format!("the files of run {} in {place} have expired", run.slot),
        )
    })
}

fn tell(args: &CoverageArgs, report: &CoverageReport, bom: bool) -> Exit {
    if let Some(folder) = &args.out
        && let Err(error) = write(folder, report, bom)
    {
        say(&format!(
            "error: {} cannot be written: {error}",
            shown(folder)
        ));
        return Exit::Unusable;
    }
    // A closed pipe is no mistake of ours.
    let _ = print(args.format, report);
    if args.since.is_some() && report.summary.since.is_none() {
        say("the run before is of another `COVERAGE_SCOPE`, so nothing is compared");
    }
    for reason in &report.summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if report.summary.complete {
        Exit::Whole
    } else {
        Exit::Incomplete
    }
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
        Format::Table => {
            if report.summary.since.is_some() {
                writeln!(stdout, "{}\n", changes(report))?;
            }
            writeln!(stdout, "{}\n\n{}", table(report), sums(report))
        }
    }
}

/// What changed, downgrades first.
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
