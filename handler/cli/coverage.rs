//! The command `coverage`: shows which subscriptions have the Defender plans.

mod from_service;
mod print;

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use functions::{
    coverage::Baseline,
    report::run::{NoSlot, Slot},
};
use tokio::time::Instant;

use super::{
    Exit, log, say,
    server::{self, ServerArgs},
    with_services,
    workbook::{self, WorkbookArgs},
};
use crate::{
    outbound::Failure,
    services::{coverage::Coverage, reports::Report},
};
use from_service::of_service;
use print::{Format, print_report};

/// Longest time for reading, enough for the largest tenants.
const TIME: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct CoverageArgs {
    #[command(subcommand)]
    command: Option<CoverageCommand>,
    /// Output format: a table of Defender for AI, the totals as JSON, every row as CSV, or the page
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write all files of the report into this folder, which must not hold others
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with a run of the history, named by its time such as 20261123T060000Z, or with the newest one
    #[arg(long, value_name = "RUN|latest")]
    since: Option<Since>,
    #[command(flatten)]
    server: ServerArgs,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum CoverageCommand {
    /// Check whether saved copies of Microsoft's Coverage workbook show Defender for AI
    Workbook(WorkbookArgs),
}

/// The run that a report is compared with.
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

pub(super) fn run(args: &CoverageArgs, variables: &BTreeMap<String, String>) -> Exit {
    if let Some(CoverageCommand::Workbook(args)) = &args.command {
        return workbook::run(args, variables);
    }
    log(args.verbose);
    match args.server.client(variables) {
        Err(exit) => return exit,
        Ok(Some(_)) if args.since.is_some() => {
            say(
                "error: the report of the deployed service is already compared with its previous run; omit --since, or run without --server and `DEFENDER_FUNCTIONS_URL`",
            );
            return Exit::Unusable;
        }
        Ok(Some(service)) => return server::ask(of_service(&service, args)),
        Ok(None) => {}
    }
    let interrupted = "interrupted; nothing was written";
    with_services(variables, interrupted, |config, services| async move {
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
        let compared = coverage.report(Instant::now() + TIME, before).await;
        print_report(args, &compared.report, config.reports.csv_bom)
    })
}

/// The state in a run of the history.
async fn before(coverage: &Coverage, since: &Since) -> Result<Baseline, (Exit, String)> {
    let failed = |error: Failure| (Exit::Incomplete, error.detail);
    let run = match since {
        Since::Latest => coverage.runs().history.newest().await.map_err(failed)?,
        Since::Run(slot) => coverage.runs().history.run_of(slot).await.map_err(failed)?,
    };
    let place = coverage.runs().history.location();
    let run = run.ok_or_else(|| {
        (
            Exit::Unusable,
            format!("{place} has no such run; `run coverage_report` makes one"),
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
