//! The command `run`: runs a timer function once, for cron and for trying it.

use std::collections::BTreeMap;

use clap::{Args, builder::PossibleValuesParser};
use functions::report::{run::Slot, text::visible};

use super::{Exit, log, say, with_services};
use crate::{
    functions::{FUNCTIONS, Function, Trigger},
    routes::timer::TimerState,
    services::reports::{History, Published, RunError},
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The timer function, by the name of its folder
    #[arg(value_parser = PossibleValuesParser::new(timers()))]
    function: String,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

/// The timer functions of the table.
fn timers() -> Vec<&'static str> {
    let is_timer = |function: &&Function| matches!(function.trigger, Trigger::Timer { .. });
    let timers = FUNCTIONS.iter().filter(is_timer);
    timers.map(|function| function.name).collect()
}

pub(super) fn run(args: &RunArgs, variables: &BTreeMap<String, String>) -> Exit {
    log(args.verbose);
    let function = Function::named(&args.function).map(|function| function.trigger);
    let Some(Trigger::Timer { run, .. }) = function else {
        return Exit::Unusable;
    };
    let interrupted = "interrupted; the next run finishes or starts over";
    with_services(variables, interrupted, |_, services| async move {
        match run(services, None).await {
            Ok(outcome) => {
                outcome.lines.iter().for_each(|line| say(&visible(line)));
                if let Some(location) = &outcome.location {
                    say(&format!("stored in {}", visible(location)));
                }
                match outcome.state {
                    TimerState::Complete => Exit::Complete,
                    TimerState::NeedsWork => Exit::Found,
                    TimerState::Off => Exit::Unusable,
                    TimerState::Incomplete => Exit::Incomplete,
                }
            }
            Err(problem) => {
                say(&format!("error: {}", visible(&problem.detail)));
                Exit::Incomplete
            }
        }
    })
}

/// Prints where a run is stored, and what it could not read.
pub(super) fn written(slot: &Slot, published: &Published, history: &History) -> Exit {
    let manifest = published.manifest();
    let done = match published {
        Published::Written(_) => "wrote",
        Published::AlreadyThere(_) => "was already done:",
    };
    say(&format!(
        "run {slot} {done} {}/{}",
        history.location(),
        manifest.folder
    ));
    for reason in &manifest.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if manifest.complete {
        Exit::Complete
    } else {
        Exit::Incomplete
    }
}

/// Prints why there is no run.
pub(super) fn failed(error: &RunError) -> Exit {
    if let RunError::Storage(error) = error {
        tracing::debug!(
            code = error.code.as_str(),
            cause = error.cause,
            "storage failed"
        );
    }
    say(&format!("error: {}", visible(&error.to_string())));
    match error {
        RunError::Off(_) => Exit::Unusable,
        _ => Exit::Incomplete,
    }
}
