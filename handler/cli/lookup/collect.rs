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
use tokio::time::Instant;

use super::{
    LookupArgs, Source,
    progress::{Progress, ticks},
    resume::Resume,
};
use crate::cli::say;
use crate::{
    config::Config,
    outbound::{Failure, HttpClient, TimeLimits},
    services::{
        Services,
        hashes::{DeviceDetail, HashLookup, Include, distinct_hashes},
    },
};

/// A command has no deadline of its own; Ctrl-C ends it with the results so far.
const NO_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A list that is looked up, and what is known of it already.
pub(super) struct Work<'a> {
    inputs: &'a Inputs,
    resume: Option<Resume>,
    results: HashMap<FileHash, HashResult>,
}

impl<'a> Work<'a> {
    pub(super) fn new(inputs: &'a Inputs, resume: Option<Resume>) -> Self {
        let known = resume.as_ref().map(|resume| resume.known().clone());
        Self {
            inputs,
            resume,
            results: known.unwrap_or_default(),
        }
    }

    /// The hashes that are still to be checked, once each, in the order of the inputs.
    pub(super) fn open(&self) -> Vec<FileHash> {
        let hashes = distinct_hashes(self.inputs).into_iter();
        hashes
            .filter(|hash| !self.results.contains_key(hash))
            .collect()
    }

    /// Waits for all answers; Ctrl-C ends it early with the answers so far. `wait` says
    /// for how long the next call has to wait. Returns why the others are missing.
    pub(super) async fn collect(
        &mut self,
        answers: impl Stream<Item = (FileHash, HashResult)>,
        wait: impl Fn() -> Option<Duration>,
        mut interrupted: Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Failure {
        let mut progress = Progress::new(self.open().len());
        let mut answers = pin!(answers);
        let mut missing = Failure::deadline();
        let mut ticks = ticks();
        loop {
            tokio::select! {
                answer = answers.next() => match answer {
                    Some((hash, result)) => {
                        if let Some(resume) = &mut self.resume {
                            resume.add(&result);
                        }
                        self.results.insert(hash, result);
                        progress.advance();
                    }
                    None => break,
                },
                _ = ticks.tick() => progress.waits(wait()),
                _ = interrupted.as_mut() => {
                    missing = Failure::interrupted();
                    progress.say("interrupted; these are the answers so far");
                    break;
                }
            }
        }
        progress.finish();
        missing
    }

    /// The answer, with `missing` for what was not asked.
    pub(super) fn answer(self, missing: &Failure) -> LookupAnswer {
        let answer = HashLookup::answer(self.inputs, &self.results, missing);
        if let Some(resume) = self.resume {
            resume.end(answer.complete);
        }
        answer
    }
}

/// Asks Defender with the identity of the process, and then for the evidence.
pub(super) async fn ask_directly(
    args: &LookupArgs,
    config: &Config,
    mut work: Work<'_>,
    mut interrupted: Pin<&mut impl FusedFuture<Output = std::io::Result<()>>>,
) -> LookupAnswer {
    let services = Services::new(config, Arc::new(HttpClient::new(TimeLimits::default())));
    let started = Instant::now();
    let deadline = started + NO_DEADLINE;
    let lookup = &services.hashes;
    let answers = lookup.look_up_each(work.open(), deadline);
    let wait = || lookup.wait();
    let mut missing = work.collect(answers, wait, interrupted.as_mut()).await;
    if !interrupted.is_terminated() {
        tokio::select! {
            () = lookup.confirm_not_seen(&mut work.results, started, deadline) => {}
            _ = interrupted.as_mut() => missing = Failure::interrupted(),
        }
    }
    if interrupted.is_terminated() {
        // What could not be confirmed is not known.
        let is_mixed_up = lookup.mixed_up_since(started);
        let is_kept = |one: &HashResult| !is_mixed_up || one.found != Some(false);
        work.results.retain(|_, one| is_kept(one));
        return work.answer(&missing);
    }
    let answer = work.answer(&missing);
    tokio::select! {
        more = add_evidence(&services, answer.clone(), &args.include) => more,
        _ = interrupted.as_mut() => {
            say("interrupted; the evidence is missing");
            answer
        }
    }
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
