//! The command `vdi`: the report on virtual desktops, and the tag that devices lack.

mod print;
mod tag;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use functions::{
    report::{
        run::{Slot, Timeliness},
        text::visible,
    },
    vdi::Summary,
};
use time::OffsetDateTime;

use super::{
    Exit,
    input::{InputError, bounded_file_text},
    log, printed, run, say,
    server::{self, ServerArgs},
    shown, with_services,
};
use crate::{
    clients::deployed_service::ServiceClient,
    services::{
        reports::{self, Report, RunBudget},
        vdi::Vdi,
    },
};
use print::print;
use tag::{TagArgs, add_tags};

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
    let slot = Slot::of_timer(None, Timeliness::OnTime, OffsetDateTime::now_utc());
    match reports::run(service, expected, &slot, TIME).await {
        Ok((published, report)) => {
            let shown = report.map_or(Ok(()), |report| print(format, &report.summary));
            let exit = run::written(&slot, &published, &service.runs().history);
            printed(shown, exit)
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
    let shown = print(format, &summary);
    say(&format!("as of {}", visible(&summary.as_of)));
    for reason in &summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    let exit = match summary.complete {
        true => Exit::Complete,
        false => Exit::Incomplete,
    };
    printed(shown, exit)
}
