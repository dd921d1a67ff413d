//! Looks up a list with progress, and stops at Ctrl-C.

use std::{
    collections::HashMap,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use functions::hashes::{FileHash, HashResult, Inputs, LookupAnswer};
use futures::{Stream, StreamExt, future::FusedFuture};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{LookupArgs, Source};
use crate::cli::say;
use crate::{
    config::Config,
    outbound::{Failure, HttpClient, TimeLimits},
    services::{
        Services,
        hashes::{DeviceDetail, HashLookup, Include, distinct_hashes},
    },
    telemetry::{self},
};

/// Lists of at least this length show a progress bar.
const LONG_LIST: usize = 20;

/// A command has no deadline of its own; Ctrl-C ends it with the results so far.
const NO_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Asks Defender with the identity of the process, and then for the evidence.
pub(super) async fn ask_directly(
    args: &LookupArgs,
    config: &Config,
    inputs: &Inputs,
    mut interrupted: Pin<&mut impl FusedFuture<Output = std::io::Result<()>>>,
) -> LookupAnswer {
    let services = Services::new(config, Arc::new(HttpClient::new(TimeLimits::default())));
    let answers = services
        .hashes
        .look_up_each(distinct_hashes(inputs), Instant::now() + NO_DEADLINE);
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

/// Waits for all answers; Ctrl-C ends it early with the answers so far.
pub(super) async fn collect(
    inputs: &Inputs,
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
