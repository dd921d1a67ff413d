//! The command `lookup`: shows verdicts at a terminal or in a pipeline.

mod collect;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::PathBuf,
    pin::pin,
};

use clap::{Args, ValueEnum};
use functions::{
    hashes::{HashResult, Inputs, LookupAnswer, Observable, Verdict, payload},
    report::text::{json, visible},
};
use futures::FutureExt;
use tracing::level_filters::LevelFilter;

use super::{
    Exit, block_on,
    input::{InputError, file_text, stdin_text},
    refuse, say,
    server::{self, ServerArgs},
    table::{summary, table},
};
use crate::services::hashes::distinct_hashes;
use crate::{
    config::{Config, Purpose},
    telemetry::{self, LogAudience},
};
use collect::{ask_directly, collect};

#[derive(Debug, Args)]
pub(super) struct LookupArgs {
    /// SHA-1 or SHA-256 hashes; `-` reads standard input as a file
    #[arg(value_name = "HASH", required_unless_present = "file")]
    hashes: Vec<String>,
    /// File with one hash on each line (empty lines and lines with # are skipped), or an advisory
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Evidence to add, separated by commas; shown in full by the format json
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SOURCES")]
    include: Vec<Source>,
    /// End with exit code 1 when a verdict is at least this severe
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<Threshold>,
    #[command(flatten)]
    server: ServerArgs,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    Stats,
    Alerts,
    Devices,
    Indicators,
}

impl Source {
    /// The words of the query parameter `include`.
    fn names(sources: &[Self]) -> String {
        let names = sources.iter().filter_map(Self::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        names.join(",")
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Threshold {
    Malicious,
    Suspicious,
}

impl Threshold {
    fn reached(self, verdict: Verdict) -> bool {
        verdict
            >= match self {
                Self::Malicious => Verdict::Malicious,
                Self::Suspicious => Verdict::Suspicious,
            }
    }
}

pub(super) fn run(args: &LookupArgs, variables: &BTreeMap<String, String>) -> Exit {
    telemetry::start(
        LogAudience::Person,
        if args.verbose {
            LevelFilter::DEBUG
        } else {
            LevelFilter::WARN
        },
    );
    let config = match Config::read(variables, Purpose::Command) {
        Ok(config) => config,
        Err(problems) => return refuse(LogAudience::Person, &problems),
    };
    let inputs = match read_inputs(args) {
        Ok(inputs) => inputs,
        Err(problem) => {
            say(&format!("error: {problem}"));
            return Exit::Unusable;
        }
    };
    let service = match args.server.client(variables) {
        Ok(service) => service,
        Err(exit) => return exit,
    };
    let no_color = variables
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty());
    block_on(async {
        // Listens from now on: a signal between two answers must not be lost.
        let mut interrupted = pin!(tokio::signal::ctrl_c().fuse());
        let answer = match &service {
            Some(service) => {
                let include = Source::names(&args.include);
                let answers = server::look_up_each(service, distinct_hashes(&inputs), &include);
                collect(&inputs, answers, interrupted.as_mut()).await
            }
            None => ask_directly(args, &config, &inputs, interrupted.as_mut()).await,
        };
        match print(args.format, &answer, !no_color) {
            Ok(()) => judge(args, &answer),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => judge(args, &answer),
            Err(error) => {
                say(&format!("error: the answer cannot be written: {error}"));
                Exit::Incomplete
            }
        }
    })
}

fn read_inputs(args: &LookupArgs) -> Result<Inputs, InputError> {
    let mut inputs = Inputs::default();
    if let Some(path) = &args.file {
        inputs.append(payload::read_text(&file_text(path)?));
    }
    for hash in &args.hashes {
        if hash == "-" {
            inputs.append(payload::read_text(&stdin_text()?));
        } else {
            inputs.append(vec![Observable::parse(hash)].into());
        }
    }
    if inputs.observables.is_empty() {
        return Err(InputError::Empty("the input has no hash".to_owned()));
    }
    Ok(inputs)
}

fn print(format: Format, answer: &LookupAnswer, color_allowed: bool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => stdout.write_all(json(answer)?.as_bytes()),
        Format::Markdown => stdout.write_all(answer.to_markdown().as_bytes()),
        Format::Csv if stdout.is_terminal() => {
            // A terminal would act on what attackers put into a name.
            answer
                .to_csv()
                .lines()
                .try_for_each(|line| writeln!(stdout, "{}", visible(line)))
        }
        Format::Csv => stdout.write_all(answer.to_csv().as_bytes()),
        Format::Table => {
            writeln!(
                stdout,
                "{}",
                table(
                    answer,
                    color_allowed && stdout.is_terminal(),
                    stdout.is_terminal()
                )
            )?;
            writeln!(stdout, "\n{}", summary(answer))
        }
    }
}

fn judge(args: &LookupArgs, answer: &LookupAnswer) -> Exit {
    let found = |threshold: Threshold| {
        answer
            .results
            .iter()
            .filter_map(|r| r.verdict)
            .any(|verdict| threshold.reached(verdict))
    };
    if answer.summary.invalid == answer.summary.total {
        Exit::Unusable
    } else if args.fail_on.is_some_and(found) {
        Exit::Found
    } else if answer.has_unchecked() || answer.results.iter().any(HashResult::lacks_evidence) {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}
