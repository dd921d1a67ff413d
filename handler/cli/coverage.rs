//! The command `coverage`: shows which subscriptions have the Defender plans.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use functions::{
    coverage::{AiPlan, Baseline, CoverageReport, Totals, files, html},
    report::{
        run::{Manifest, NoSlot, Slot},
        text::{json, visible},
    },
};
use tokio::time::Instant;

use super::{
    Exit, log, say,
    server::{self, ServerArgs},
    shown, with_services,
    workbook::{self, WorkbookArgs},
};
use crate::{
    clients::deployed_service::{self, ServiceClient},
    outbound::{Code, Failure, Kind},
    services::{
        coverage::Coverage,
        reports::{Report, sha256},
    },
};

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

fn print_report(args: &CoverageArgs, report: &CoverageReport, bom: bool) -> Exit {
    if let Some(folder) = &args.out
        && let Err(error) = write(folder, report, bom)
    {
        say(&format!(
            "error: {} cannot be written: {error}",
            shown(folder)
        ));
        return Exit::Unusable;
    }
    // A closed pipe is not our mistake.
    let _ = print(args.format, report);
    if args.since.is_some() && report.summary.since.is_none() {
        say("the previous run has another `COVERAGE_SCOPE`, so nothing is compared");
    }
    for reason in &report.summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if report.summary.complete {
        Exit::Complete
    } else {
        Exit::Incomplete
    }
}

/// Writes every file, and overwrites none.
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

/// The AI plan of every subscription.
fn table(rows: &[AiPlan]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "AI PLAN",
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

/// The newest report of the deployed service.
async fn of_service(service: &ServiceClient, args: &CoverageArgs) -> Exit {
    match ask_service(service, args).await {
        Ok(sums) => {
            say(&format!("as of {}", visible(&sums.as_of)));
            for reason in &sums.reasons {
                say(&format!("NOT complete: {}", visible(reason)));
            }
            match sums.complete {
                true => Exit::Complete,
                false => Exit::Incomplete,
            }
        }
        Err(Refused::Service(error)) => server::failed(&error),
        Err(Refused::Folder(error)) => {
            let folder = args.out.as_deref().map(shown).unwrap_or_default();
            say(&format!("error: {folder} cannot be written: {error}"));
            Exit::Unusable
        }
    }
}

/// The reason why a report of the service is not shown.
enum Refused {
    Service(Failure),
    Folder(std::io::Error),
}

impl From<Failure> for Refused {
    fn from(error: Failure) -> Self {
        Self::Service(error)
    }
}

/// Prints and copies the newest report and returns its totals.
///
/// Everything comes from one run, as its manifest says.
async fn ask_service(service: &ServiceClient, args: &CoverageArgs) -> Result<Totals, Refused> {
    let manifest: Manifest = service.json("coverage/manifest.json", None).await?;
    let copy = CopyOf {
        service,
        manifest: &manifest,
    };
    let sums: Totals = serde_json::from_slice(&copy.file("summary.json").await?)
        .map_err(|_| deployed_service::other_version())?;
    let name = match args.format {
        Format::Table | Format::Csv => "coverage.csv",
        Format::Json => "summary.json",
        Format::Html => "coverage.html",
    };
    let file = copy.file(name).await?;
    let text = String::from_utf8_lossy(&file);
    let rows = match args.format {
        Format::Table => AiPlan::read(&text).map_err(|_| deployed_service::other_version())?,
        _ => Vec::new(),
    };
    if let Some(folder) = &args.out {
        copy.write(folder).await?;
    }
    // A closed pipe is not our mistake.
    let _ = print_file(args.format, &text, &rows, &sums);
    Ok(sums)
}

/// The newest run of the service.
struct CopyOf<'a> {
    service: &'a ServiceClient,
    manifest: &'a Manifest,
}

impl CopyOf<'_> {
    /// A file that matches the manifest.
    async fn file(&self, name: &str) -> Result<Bytes, Failure> {
        let bytes = self.service.file(&format!("coverage/{name}")).await?;
        let noted = self.manifest.file(name).map(|file| &file.sha256);
        if noted == Some(&sha256(&bytes)) {
            return Ok(bytes);
        }
        let detail = format!(
            "{name} is not the file that the manifest describes: a new report was written at this moment, or something on the way changed it; try again"
        );
        Err(Failure::new(
            Kind::Protocol,
            Code::ServiceChanged,
            detail,
            "sha256",
        ))
    }

    /// Writes all files after all of them have arrived, and overwrites none.
    async fn write(&self, folder: &Path) -> Result<(), Refused> {
        let mut files = Vec::new();
        for file in &self.manifest.files {
            // Names are the product's own; any other could point outside the folder.
            let is_plain = file.name.starts_with(|c: char| c.is_ascii_lowercase())
                && file
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b"-.".contains(&b));
            if !is_plain {
                return Err(deployed_service::other_version().into());
            }
            files.push((&file.name, self.file(&file.name).await?));
        }
        fs::create_dir_all(folder).map_err(Refused::Folder)?;
        for (name, bytes) in files {
            fs::File::create_new(folder.join(name))
                .and_then(|mut open| open.write_all(&bytes))
                .map_err(Refused::Folder)?;
        }
        Ok(())
    }
}

fn print_file(format: Format, text: &str, rows: &[AiPlan], sums: &Totals) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Table => writeln!(stdout, "{}\n\n{}", table(rows), sums.text()),
        Format::Csv if stdout.is_terminal() => text
            .lines()
            .try_for_each(|line| writeln!(stdout, "{}", visible(line))),
        _ => stdout.write_all(text.as_bytes()),
    }
}
