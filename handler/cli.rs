//! The command line, and the start under the Functions host.

mod coverage;
mod doctor;
mod golden_image;
mod input;
mod lookup;
mod run;
mod serve;
mod server;
mod table;
mod vdi;
mod workbook;

use std::{
    collections::BTreeMap, ffi::OsString, future::Future, io::Write, panic::AssertUnwindSafe,
    path::Path, process::ExitCode, sync::Arc,
};

use clap::{Parser, Subcommand, error::ErrorKind};
use functions::report::text::visible;
use tracing::level_filters::LevelFilter;

use crate::{
    config::{self, Config, ConfigProblems, Purpose},
    outbound::{HttpClient, TimeLimits},
    services::Services,
    telemetry::{self, LogAudience},
};

/// The outcome of a command. The first of 2, 1, 3 that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Complete, and nothing was found that `--fail-on` asks for.
    Complete,
    /// Something was found that `--fail-on` asks for.
    Found,
    /// Usage, settings or unusable input.
    Unusable,
    /// Something could not be checked.
    Incomplete,
    /// Under the Functions host: start me again; not counted as a failure.
    Restart,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Complete => 0,
            Exit::Found => 1,
            Exit::Unusable => 2,
            Exit::Incomplete => 3,
            Exit::Restart => 200,
        })
    }
}

/// File-hash verdicts from Microsoft Defender for Endpoint.
///
/// Exit codes: 0 complete, 1 found what --fail-on asks for, 2 usage, settings or
/// unusable input, 3 incomplete.
#[derive(Debug, Parser)]
#[command(name = "defender-functions", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look up the verdicts on file hashes
    Lookup(lookup::LookupArgs),
    /// Report which subscriptions have the Defender plans, Defender for AI first
    Coverage(coverage::CoverageArgs),
    /// Assess a golden image, or a pooled desktop, for Defender
    #[command(subcommand)]
    GoldenImage(golden_image::GoldenImageCommand),
    /// Report what is wrong with the device records of virtual desktops
    Vdi(vdi::VdiArgs),
    /// Check permissions and settings, and print the command that grants what is missing
    ///
    /// Exit codes: 0 nothing, 1 something is missing, 3 something did not answer.
    Doctor(doctor::DoctorArgs),
    /// Run a timer function once
    Run(run::RunArgs),
    /// Serve the HTTP API on loopback, without the Functions host
    Serve(serve::ServeArgs),
}

/// Runs the process: `arguments` with the program's name first.
pub fn main(arguments: Vec<OsString>, variables: BTreeMap<String, String>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let exit = match cli.command {
        Some(Command::Coverage(args)) => coverage::run(&args, &variables),
        Some(Command::GoldenImage(command)) => golden_image::run(&command, &variables),
        Some(Command::Doctor(args)) => doctor::run(&args, &variables),
        Some(Command::Lookup(args)) => lookup::run(&args, &variables),
        Some(Command::Vdi(args)) => vdi::run(&args, &variables),
        Some(Command::Run(args)) => run::run(&args, &variables),
        Some(Command::Serve(args)) if args.names_a_port() => serve::by_itself(&args, &variables),
        Some(Command::Serve(args)) => match config::host_port(&variables) {
            Ok(None) => serve::by_itself(&args, &variables),
            port => serve::under_host(port, &variables),
        },
        None => serve::under_host(config::host_port(&variables), &variables),
    };
    exit.into()
}

/// Help and version go to stdout with 0, mistakes to stderr with 2.
fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Complete,
        _ => Exit::Unusable,
    }
}

/// Reports all problems of the settings together.
fn refuse(reader: LogAudience, problems: &ConfigProblems) -> Exit {
    match reader {
        LogAudience::Host => {
            tracing::error!(code = "settings", problems = problems.0.len(), "{problems}")
        }
        LogAudience::Person => problems
            .0
            .iter()
            .for_each(|problem| say(&format!("error: {problem}"))),
    }
    Exit::Unusable
}

/// Logs for a person: everything with `--verbose`, nothing without.
fn log(verbose: bool) {
    let level = match verbose {
        true => LevelFilter::DEBUG,
        false => LevelFilter::OFF,
    };
    telemetry::start(LogAudience::Person, level);
}

/// Runs a command's work with the services of its settings.
///
/// Ctrl-C ends it and prints `interrupted`.
fn with_services<W: Future<Output = Exit>>(
    variables: &BTreeMap<String, String>,
    interrupted: &str,
    work: impl FnOnce(Config, Services) -> W,
) -> Exit {
    let config = match Config::read(variables, Purpose::Command) {
        Ok(config) => config,
        Err(problems) => return refuse(LogAudience::Person, &problems),
    };
    block_on(unless_interrupted(interrupted, async {
        let services = Services::new(&config, Arc::new(HttpClient::new(TimeLimits::default())));
        work(config, services).await
    }))
}

/// Runs work until it is done, or until Ctrl-C, which prints `interrupted`.
async fn unless_interrupted(interrupted: &str, work: impl Future<Output = Exit>) -> Exit {
    tokio::select! {
        exit = work => exit,
        _ = tokio::signal::ctrl_c() => {
            say(interrupted);
            Exit::Incomplete
        }
    }
}

/// Runs a command's work on a runtime of its own.
fn block_on(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            // The panic hook has logged what happened.
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
            let exit = ended.unwrap_or(Exit::Incomplete);
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            say(&format!("error: no threads can be started: {error}"));
            Exit::Incomplete
        }
    }
}

/// The exit code of a command that wrote its answer: a closed pipe is fine, any other
/// error makes the answer incomplete.
fn printed(written: std::io::Result<()>, exit: Exit) -> Exit {
    match written.and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            say(&format!("error: the answer cannot be written: {error}"));
            Exit::Incomplete
        }
        _ => exit,
    }
}

/// A path as text that is safe to print on a terminal.
fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}

/// A line for a person, on stderr.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
