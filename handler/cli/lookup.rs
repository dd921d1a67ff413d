//! The command `lookup`: shows verdicts at a terminal or in a pipeline.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::Future,
    io::{IsTerminal, Write},
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use functions::{
    hashes::{FileHash, HashResult, LookupAnswer, Observable, Verdict, payload},
    report::text::{json, visible},
};
use futures::{FutureExt, Stream, StreamExt, future::FusedFuture};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::{
    Exit, block_on,
    input::{InputError, file_text, stdin_text},
    refuse, say,
    server::{self, ServerArgs},
    table::{summary, table},
};
use crate::{
    config::{Config, Purpose},
    outbound::{Failure, HttpClient, TimeLimits},
    services::{
        Services,
        hashes::{DeviceDetail, HashLookup, Include},
    },
    telemetry::{self, LogAudience},
};

/// Lists of at least this length show a progress bar.
const LONG_LIST: usize = 20;

/// A command has no deadline of its own; Ctrl-C ends it with the results so far.
const NO_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

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

fn read_inputs(args: &LookupArgs) -> Result<Vec<Observable>, InputError> {
    let mut inputs = Vec::new();
    if let Some(path) = &args.file {
        inputs.extend(payload::read_text(&file_text(path)?));
    }
    for hash in &args.hashes {
        if hash == "-" {
            inputs.extend(payload::read_text(&stdin_text()?));
        } else {
            inputs.push(Observable::parse(hash));
        }
    }
    if inputs.is_empty() {
        return Err(InputError::Empty("the input has no hash".to_owned()));
    }
    Ok(inputs)
}

/// Asks Defender with the identity of the process, and then for the evidence.
async fn ask_directly(
    args: &LookupArgs,
    config: &Config,
    inputs: &[Observable],
    mut interrupted: Pin<&mut impl FusedFuture<Output = std::io::Result<()>>>,
) -> LookupAnswer {
    let services = Services::new(config, Arc::new(HttpClient::new(TimeLimits::default())));
    let answers = services
        .hashes
        .look_up_each(inputs, Instant::now() + NO_DEADLINE);
    let answer = collect(inputs, answers, interrupted.as_mut()).await;
    if interrupted.is_terminated() {
        return answer;
    }
    tokio::select! {
        more = add_evidence(&services, answer.clone(), &args.include) => more,
        _ = interrupted.as_mut() => {
            say("interrupted; the evidence is missing");
            answer
        }
    }
}

/// Each hash of the input once, in its order.
fn distinct_hashes(inputs: &[Observable]) -> Vec<FileHash> {
    let mut seen = HashSet::new();
    let hashes = inputs.iter().filter_map(|input| input.hash.as_ref().ok());
    hashes.copied().filter(|hash| seen.insert(*hash)).collect()
}

/// Waits for all answers; Ctrl-C ends it early with the answers so far.
async fn collect(
    inputs: &[Observable],
    answers: impl Stream<Item = (FileHash, HashResult)>,
    mut interrupted: Pin<&mut impl Future<Output = std::io::Result<()>>>,
) -> LookupAnswer {
    let progress = progress_bar(distinct_hashes(inputs).len());
    let mut results = HashMap::new();
    let mut answers = pin!(answers);
    let mut missing = Failure::deadline();
    loop {
        tokio::select! {
            answer = answers.next() => match answer {
                Some((hash, result)) => {
                    results.insert(hash, result);
                    progress.inc(1);
                }
                None => break,
            },
            _ = interrupted.as_mut() => {
                missing = Failure::interrupted();
                progress.suspend(|| say("interrupted; these are the answers so far"));
                break;
            }
        }
    }
    progress.finish_and_clear();
    HashLookup::answer(inputs, &results, &missing)
}

/// Adds the requested evidence. The identity's own roles decide what is visible.
async fn add_evidence(
    services: &Services,
    answer: LookupAnswer,
    sources: &[Source],
) -> LookupAnswer {
    let include = Include {
        stats: sources.contains(&Source::Stats),
        alerts: sources.contains(&Source::Alerts),
        devices: sources
            .contains(&Source::Devices)
            .then_some(DeviceDetail::Listed),
        indicators: sources.contains(&Source::Indicators),
    };
    if include.is_empty() {
        return answer;
    }
    let deadline = Instant::now() + NO_DEADLINE;
    let results = services
        .hashes
        .add_evidence(answer.results, include, deadline)
        .await;
    LookupAnswer { results, ..answer }
}

fn progress_bar(length: usize) -> ProgressBar {
    if length < LONG_LIST || !telemetry::stderr_is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} hashes, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style)
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
    } else if answer.has_unasked() || answer.results.iter().any(HashResult::lacks_evidence) {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}
