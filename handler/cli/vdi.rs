//! The command `vdi`: the report on virtual desktops, and the tag that devices lack.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use functions::{
    report::text::{json, visible},
    vdi::{Counts, Summary},
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    Exit,
    input::{InputError, bounded_file_text},
    log, run, say,
    server::{self, ServerArgs},
    shown,
    table::fitted,
    with_services,
};
use crate::{
    clients::deployed_service::ServiceClient,
    services::{
        reports::{self, Report, RunBudget},
        vdi::{Tagged, Vdi},
    },
};

/// Longest time for reading, enough for the largest tenants.
const TIME: RunBudget = RunBudget {
    reading: Duration::from_secs(3_600),
    patience: Duration::ZERO,
};

/// Largest list of hosts.
const MAX_HOSTS_MIB: u64 = 16;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct VdiArgs {
    #[command(subcommand)]
    command: Option<VdiCommand>,
    /// Hosts that must be there, one name a line, short or full
    #[arg(long, value_name = "FILE")]
    expected_hosts: Option<PathBuf>,
    /// Output format: a table of the findings, or summary.json
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum VdiCommand {
    /// Add the tag to live devices that lack it; removes none
    ///
    /// Without --apply it only lists them. Needs the application role `Machine.ReadWrite.All`.
    Tag(TagArgs),
}

#[derive(Debug, Args)]
struct TagArgs {
    /// Only list the devices that would be tagged; the default
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Add the tag
    #[arg(long)]
    apply: bool,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub(super) fn run(args: &VdiArgs, variables: &BTreeMap<String, String>) -> Exit {
    let verbose = match &args.command {
        Some(VdiCommand::Tag(tag)) => tag.verbose,
        None => args.verbose,
    };
    log(verbose);
    if args.command.is_none() {
        match args.server.client(variables) {
            Err(exit) => return exit,
            Ok(Some(_)) if args.expected_hosts.is_some() => {
                say(
                    "error: the deployed service does not take --expected-hosts: run without --server and `DEFENDER_FUNCTIONS_URL`",
                );
                return Exit::Unusable;
            }
            Ok(Some(service)) => return server::ask(of_service(&service, args.format)),
            Ok(None) => {}
        }
    }
    let expected = match args.expected_hosts.as_deref().map(hosts).transpose() {
        Ok(expected) => expected,
        Err(problem) => {
            say(&format!("error: {problem}"));
            return Exit::Unusable;
        }
    };
    let interrupted = "interrupted; what was printed is done, the rest is not";
    with_services(variables, interrupted, |_, services| async move {
        match &args.command {
            Some(VdiCommand::Tag(tag)) => add_tags(&services.vdi, tag.apply).await,
            None => report(&services.vdi, expected, args.format).await,
        }
    })
}

/// The names of a list, unchanged; empty lines and comments do not count.
fn hosts(path: &Path) -> Result<Vec<String>, InputError> {
    let text = bounded_file_text(path, MAX_HOSTS_MIB, "it has one host name on each line")?;
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.split(['\n', '\r']).map(str::trim);
    let names: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(InputError::Empty(format!(
            "{} has no host name",
            shown(path)
        )));
    }
    match names.iter().find(|name| !is_host_name(name)) {
        Some(odd) => Err(InputError::OddLine {
            path: path.to_owned(),
            line: odd.chars().take(80).collect(),
        }),
        None => Ok(names),
    }
}

/// A short or full name: letters, digits, hyphens, underscores and dots.
fn is_host_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    name.len() <= 255 && name.starts_with(char::is_alphanumeric) && name.chars().all(plain)
}

async fn report(service: &Vdi, expected: Option<Vec<String>>, format: Format) -> Exit {
    let slot = reports::slot(None, OffsetDateTime::now_utc());
    match reports::run(service, expected, &slot, TIME).await {
        Ok((published, report)) => {
            if let Some(report) = report {
                // A closed pipe is not our mistake.
                let _ = print(format, &report.summary);
            }
            run::written(&slot, &published, &service.runs().history)
        }
        Err(error) => run::failed(&error),
    }
}

/// The newest report of the deployed service.
async fn of_service(service: &ServiceClient, format: Format) -> Exit {
    let summary: Summary = match service.json("vdi/summary.json", None).await {
        Ok(summary) => summary,
        Err(error) => return server::failed(&error),
    };
    // A closed pipe is not our mistake.
    let _ = print(format, &summary);
    say(&format!("as of {}", visible(&summary.as_of)));
    for reason in &summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if summary.complete {
        Exit::Complete
    } else {
        Exit::Incomplete
    }
}

fn print(format: Format, summary: &Summary) -> std::io::Result<()> {
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

/// One line a device on standard output.
async fn add_tags(service: &Vdi, apply: bool) -> Exit {
    let report = match service
        .report(Instant::now() + TIME.reading, None, None)
        .await
    {
        Ok(report) => report,
        Err(error) => return run::failed(&error),
    };
    for reason in &report.summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if report.summary.counts.untagged.is_none() {
        say("error: no device record could be read, so nothing is tagged");
        return Exit::Incomplete;
    }
    let (devices, tag) = (&report.untagged, service.tag());
    let mut failed = false;
    if apply {
        let print_batch = |batch: Tagged<'_>| {
            failed |= batch.outcome.is_err();
            let outcome = match &batch.outcome {
                Ok(()) => "tagged".to_owned(),
                Err(error) => format!("FAILED: {}", visible(&error.detail)),
            };
            lines(batch.devices, &outcome);
        };
        service
            .tag_devices(devices, TIME.reading, print_batch)
            .await;
    } else {
        lines(devices, "would be tagged");
        say(&format!(
            "devices that would get the tag {tag}: {}; `vdi tag --apply` adds it",
            devices.len()
        ));
    }
    if failed || !report.summary.complete {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}

fn lines(devices: &[(String, String)], outcome: &str) {
    let mut stdout = std::io::stdout().lock();
    for (id, name) in devices {
        // A closed pipe is not our mistake, and the work continues.
        let _ = writeln!(stdout, "{}\t{}\t{outcome}", visible(id), visible(name));
    }
}
