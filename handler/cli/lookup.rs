//! The command `lookup`: shows verdicts at a terminal or in a pipeline.

mod collect;
mod outcome;
mod progress;
mod resume;
mod show;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::PathBuf,
    pin::pin,
};

use clap::{Args, ValueEnum};
use functions::{
    hashes::{Inputs, LookupAnswer, Observable, payload},
    report::text::{json, visible},
};
use futures::FutureExt;

use super::{
    Exit, block_on,
    input::{InputError, file_text, stdin_text},
    log, printed, refuse, say,
    server::{self, ServerArgs},
};
use crate::{
    config::{Config, Purpose},
    telemetry::LogAudience,
};
use collect::{Work, ask_directly};
use outcome::Threshold;
use resume::Resume;

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
    /// Evidence to add, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SOURCES")]
    include: Vec<Source>,
    /// End with exit code 1 when a verdict is at least this severe
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<Threshold>,
    /// Keep the results in this file while they come in, and continue from it; removed when everything is checked
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
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
    Text,
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

pub(super) fn run(args: &LookupArgs, variables: &BTreeMap<String, String>) -> Exit {
    log(args.verbose);
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
    let resume = match args.resume.as_deref().map(Resume::open).transpose() {
        Ok(resume) => resume,
        Err(problem) => {
            say(&format!("error: {problem}"));
            return Exit::Unusable;
        }
    };
    let no_color = variables
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty());
    block_on(async {
        // Listens from now on: a signal between two answers must not be lost.
        let mut interrupted = pin!(tokio::signal::ctrl_c().fuse());
        let mut work = Work::new(&inputs, resume);
        let answer = match &service {
            Some(service) => {
                let include = Source::names(&args.include);
                let answers = server::look_up_each(service, work.open(), &include);
                let missing = work.collect(answers, || None, interrupted.as_mut()).await;
                work.answer(&missing)
            }
            None => ask_directly(args, &config, work, interrupted.as_mut()).await,
        };
        let (exit, reasons) = outcome::of(&answer, args.fail_on);
        let shown = print(args.format, &answer, !no_color);
        reasons.iter().for_each(|reason| say(reason));
        printed(shown, exit)
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
        Format::Text => stdout.write_all(answer.to_text().as_bytes()),
        Format::Markdown => stdout.write_all(answer.to_markdown().as_bytes()),
        Format::Csv if stdout.is_terminal() => {
            // A terminal would act on what attackers put into a name.
            answer
                .to_csv()
                .lines()
                .try_for_each(|line| writeln!(stdout, "{}", visible(line)))
        }
        // Excel reads UTF-8 only behind a byte order mark.
        Format::Csv => stdout.write_all(format!("\u{feff}{}", answer.to_csv()).as_bytes()),
        Format::Table => stdout.write_all(show::text(answer, color_allowed).as_bytes()),
    }
}
