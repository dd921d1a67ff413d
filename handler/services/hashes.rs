//! Look-up of file hashes: the use case behind `hash_lookup` and `lookup`.
//!
//! Every input gets a result. A hash is asked once, no matter how many callers ask
//! for it. A list asks its SHA-256 first, because their answers name the SHA-1.

mod again;
mod evidence;
mod item;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use functions::hashes::{AdviceContext, FileHash, HashKind, HashResult, Inputs, LookupAnswer};
use futures::{
    future,
    stream::{self, Stream, StreamExt},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{
    CachedAnswer, VerdictCache, midnight_in_days, now, ready_answers::ReadyAnswers, today,
};
use crate::{
    clients::defender::{files::FilesClient, indicators::IndicatorsClient},
    config::Config,
    outbound::{Failure, single_flight::SingleFlight},
};
use item::{log, unanswered, verified};

pub use again::distinct_hashes;
pub use evidence::{DeviceDetail, Include};

/// Hashes of one list that are in progress at a time.
const AT_A_TIME: usize = 64;

/// How long the SHA-1 of a list wait for its SHA-256.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long an Indicator that is advised should live.
const INDICATOR_DAYS: i64 = 90;

type LookupOutcome = Result<Arc<CachedAnswer>, Failure>;

/// The end of a flight: its outcome, and the time it had.
type Landed = (LookupOutcome, Instant);

/// Verdicts on file hashes.
#[derive(Debug)]
pub struct HashLookup {
    files: Arc<FilesClient>,
    indicators: Arc<IndicatorsClient>,
    cache: VerdictCache,
    ready: ReadyAnswers,
    flights: SingleFlight<FileHash, Landed>,
    time_limit: Duration,
    portal: &'static str,
}

impl HashLookup {
    /// A look-up over the two APIs with the settings.
    pub fn new(
        files: Arc<FilesClient>,
        indicators: Arc<IndicatorsClient>,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            files,
            indicators,
            cache: VerdictCache::default(),
            ready: ReadyAnswers::default(),
            flights: SingleFlight::default(),
            time_limit: config.defender.lookup_deadline,
            portal: config.defender.portal(),
        })
    }

    fn setting(&self) -> AdviceContext {
        AdviceContext {
            portal: self.portal.to_owned(),
            indicator_expires: midnight_in_days(INDICATOR_DAYS),
        }
    }

    /// The time until Defender may be asked about a file again; `None` if that is now.
    pub fn wait(&self) -> Option<Duration> {
        self.files.wait()
    }

    /// Returns true if a response since `instant` was about another file than was asked for.
    pub fn mixed_up_since(&self, instant: Instant) -> bool {
        self.files.mixed_up_since(instant)
    }

    /// When a synchronous call that begins now has to answer.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.time_limit
    }

    /// Answers for every input, in their order, by `deadline` at the latest.
    pub async fn look_up_all(self: &Arc<Self>, inputs: &Inputs, deadline: Instant) -> LookupAnswer {
        let hashes = distinct_hashes(inputs);
        if inputs.are_entities {
            self.forget_not_seen(&hashes);
        }
        let started = Instant::now();
        let mut results = self.look_up_each(hashes, deadline).collect().await;
        self.confirm_not_seen(&mut results, started, deadline).await;
        if inputs.are_entities {
            self.ask_again(&mut results, deadline).await;
        }
        Self::answer(inputs, &results, &Failure::deadline())
    }

    /// Answers for distinct hashes, as they come in.
    ///
    /// The SHA-1 wait for the SHA-256 of the list, but not long: one that hangs
    /// must not take their time.
    pub fn look_up_each(
        self: &Arc<Self>,
        hashes: Vec<FileHash>,
        deadline: Instant,
    ) -> impl Stream<Item = (FileHash, HashResult)> + use<> {
        let (sha256, sha1): (Vec<_>, Vec<_>) = hashes
            .into_iter()
            .partition(|hash| hash.kind() == HashKind::Sha256);
        let (done, wait) = oneshot::channel::<()>();
        let first = self.ask_each(sha256, deadline).chain(
            stream::once(async move {
                let _ = done.send(());
            })
            .filter_map(|()| future::ready(None)),
        );
        let this = Arc::clone(self);
        let second = stream::once(async move {
            let _ = timeout(HEAD_START, wait).await;
        })
        .flat_map(move |()| this.ask_each(sha1.clone(), deadline));
        stream::select(first, second)
    }

    fn ask_each(
        self: &Arc<Self>,
        hashes: Vec<FileHash>,
        deadline: Instant,
    ) -> impl Stream<Item = (FileHash, HashResult)> + use<> {
        let this = Arc::clone(self);
        stream::iter(hashes)
            .map(move |hash| {
                let this = Arc::clone(&this);
                async move { (hash, this.look_up(hash, deadline).await) }
            })
            .buffer_unordered(AT_A_TIME)
    }

    /// Puts results in the order of the inputs and sums them up. A hash without
    /// a result was not asked any more, because of `missing`.
    pub fn answer(
        inputs: &Inputs,
        results: &HashMap<FileHash, HashResult>,
        missing: &Failure,
    ) -> LookupAnswer {
        let in_order = inputs.observables.iter().filter_map(|input| {
            let result = match &input.hash {
                Ok(hash) => results
                    .get(hash)
                    .cloned()
                    .or_else(|| Some(unanswered(*hash, missing))),
                Err(_) => HashResult::invalid(input),
            };
            result.map(|result| HashResult {
                same_file: input.file,
                file_name: input.file_name.clone(),
                ..result
            })
        });
        let answer = LookupAnswer::new(now(), in_order.collect()).with_sender(inputs);
        log(&answer);
        answer
    }

    /// The JSON answer for one hash that is remembered and fresh.
    pub fn ready_json(&self, hash: FileHash) -> Option<Bytes> {
        let entry = self.cache.entry(hash).filter(|entry| entry.is_fresh())?;
        self.ready.get(hash, entry, today(), || {
            let remembered = self.cache.get(hash)?;
            let answer = verified(&remembered, true, false);
            let result = HashResult::verified(hash, answer, &self.setting());
            serde_json::to_vec(&result).ok().map(Bytes::from)
        })
    }

    /// Answers for one hash, by `deadline` at the latest.
    pub async fn look_up(self: &Arc<Self>, hash: FileHash, deadline: Instant) -> HashResult {
        let remembered = self.cache.get(hash);
        if let Some(entry) = remembered.as_ref().filter(|entry| entry.is_fresh()) {
            return HashResult::verified(hash, verified(entry, true, false), &self.setting());
        }
        match (self.ask(hash, deadline).await, remembered) {
            (Ok(entry), _) => {
                HashResult::verified(hash, verified(&entry, false, false), &self.setting())
            }
            (Err(error), Some(entry)) if error.kind.is_outage() && entry.profile.is_some() => {
                HashResult::verified(hash, verified(&entry, true, true), &self.setting())
            }
            (Err(error), _) => unanswered(hash, &error),
        }
    }

    /// Asks Defender, or waits for whoever is asking already.
    async fn ask(self: &Arc<Self>, hash: FileHash, deadline: Instant) -> LookupOutcome {
        loop {
            let flight = self.flights.run(hash, || {
                let this = Arc::clone(self);
                async move { (this.ask_now(hash, deadline).await, deadline) }
            });
            match timeout_at(deadline, flight).await {
                Err(_) => return Err(Failure::deadline()),
                Ok((None, _)) => return Err(Failure::internal()),
                // Whoever asked had less time than this caller has: ask again.
                Ok((Some((Err(error), had)), true))
                    if error.is_temporary() && had + HEAD_START < deadline => {}
                Ok((Some((result, _)), _)) => return result,
            }
        }
    }

    async fn ask_now(&self, hash: FileHash, deadline: Instant) -> LookupOutcome {
        // Another flight may have landed between the look into the cache and now.
        if let Some(entry) = self.cache.get(hash).filter(|entry| entry.is_fresh()) {
            return Ok(Arc::new(entry));
        }
        let profile = self.files.profile(hash, deadline).await?;
        let hashes = profile
            .as_ref()
            .map_or_else(|| vec![hash], |profile| profile.known_hashes(hash));
        let answer = CachedAnswer::new(profile, now());
        self.cache.put(&hashes, &answer);
        Ok(Arc::new(answer))
    }
}
