//! Look-up of file hashes: the use case behind `hash_lookup` and `lookup`.
//!
//! Every input gets a result. A hash is asked once however many ask for it; a
//! list asks its SHA-256 first, because their answers name the SHA-1.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use functions::hashes::{
    FileHash, HashKind, HashResult, ItemStatus, LookupAnswer, Observable, Verified,
};
use futures::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{VerdictCache, now, verdict_cache::Remembered};
use crate::{
    clients::defender::{DefenderError, Kind, files::FilesClient},
    single_flight::SingleFlight,
};

/// Hashes of one list under way at a time.
const AT_A_TIME: usize = 64;

type Asked = Result<Arc<Remembered>, DefenderError>;

/// Verdicts on file hashes.
#[derive(Debug)]
pub struct HashLookup {
    files: FilesClient,
    cache: VerdictCache,
    flights: SingleFlight<FileHash, Asked>,
    time_limit: Duration,
}

impl HashLookup {
    /// A look-up over the Files API; `time_limit` is that of a synchronous call.
    pub fn new(files: FilesClient, time_limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            files,
            cache: VerdictCache::default(),
            flights: SingleFlight::default(),
            time_limit,
        })
    }

    /// When a synchronous call that begins now has to answer.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.time_limit
    }

    /// Answers for every input, in their order, by `deadline` at the latest.
    pub async fn look_up_all(
        self: &Arc<Self>,
        inputs: &[Observable],
        deadline: Instant,
    ) -> LookupAnswer {
        let results = self.look_up_each(inputs, deadline).collect().await;
        Self::answer(inputs, &results)
    }

    /// Answers for every distinct hash among the inputs, as they come in.
    pub fn look_up_each(
        self: &Arc<Self>,
        inputs: &[Observable],
        deadline: Instant,
    ) -> impl Stream<Item = (FileHash, HashResult)> {
        let distinct: HashSet<FileHash> = inputs
            .iter()
            .filter_map(|input| input.hash.as_ref().ok().copied())
            .collect();
        let (sha256, sha1): (Vec<_>, Vec<_>) = distinct
            .into_iter()
            .partition(|hash| hash.kind() == HashKind::Sha256);
        let ask = |hashes: Vec<FileHash>| {
            let this = Arc::clone(self);
            stream::iter(hashes)
                .map(move |hash| {
                    let this = Arc::clone(&this);
                    async move { (hash, this.look_up(hash, deadline).await) }
                })
                .buffer_unordered(AT_A_TIME)
        };
        ask(sha256).chain(ask(sha1))
    }

    /// Puts results in the order of the inputs and sums them up. A hash without
    /// a result was not asked any more.
    pub fn answer(inputs: &[Observable], results: &HashMap<FileHash, HashResult>) -> LookupAnswer {
        let in_order = inputs.iter().filter_map(|input| match &input.hash {
            Ok(hash) => Some(
                results
                    .get(hash)
                    .cloned()
                    .unwrap_or_else(|| unanswered(*hash, &DefenderError::deadline())),
            ),
            Err(_) => HashResult::invalid(input),
        });
        let answer = LookupAnswer::new(now(), in_order.collect());
        log(&answer);
        answer
    }

    /// Answers for one hash, by `deadline` at the latest.
    pub async fn look_up(self: &Arc<Self>, hash: FileHash, deadline: Instant) -> HashResult {
        let text = hash.to_string();
        let remembered = self.cache.get(hash);
        if let Some(entry) = remembered.as_ref().filter(|entry| entry.is_fresh()) {
            return HashResult::verified(&text, hash.kind(), verified(entry, true, false));
        }
        match (self.ask(hash, deadline).await, remembered) {
            (Ok(entry), _) => {
                HashResult::verified(&text, hash.kind(), verified(&entry, false, false))
            }
            (Err(error), Some(entry)) if error.kind.is_outage() => {
                HashResult::verified(&text, hash.kind(), verified(&entry, true, true))
            }
            (Err(error), _) => {
                tracing::debug!(
                    code = error.code,
                    cause = error.cause,
                    file.hash = text,
                    "look-up failed"
                );
                unanswered(hash, &error)
            }
        }
    }

    /// Asks Defender, or waits for whoever is asking already.
    async fn ask(self: &Arc<Self>, hash: FileHash, deadline: Instant) -> Asked {
        loop {
            let flight = self.flights.run(hash, || {
                let this = Arc::clone(self);
                async move { this.ask_now(hash, deadline).await }
            });
            match timeout_at(deadline, flight).await {
                Err(_) => return Err(DefenderError::deadline()),
                Ok((None, _)) => {
                    return Err(DefenderError::unusable_answer(
                        "the look-up ended unexpectedly",
                    ));
                }
                // Whoever asked had less time than this caller has: ask again.
                Ok((Some(Err(error)), true)) if gave_up_early(&error, deadline) => {}
                Ok((Some(result), _)) => return result,
            }
        }
    }

    async fn ask_now(&self, hash: FileHash, deadline: Instant) -> Asked {
        // Another flight may have landed between the look into the cache and now.
        if let Some(entry) = self.cache.get(hash).filter(|entry| entry.is_fresh()) {
            return Ok(entry);
        }
        let profile = self.files.profile(hash, deadline).await?;
        let hashes = profile
            .as_ref()
            .map_or_else(|| vec![hash], |profile| profile.known_hashes(hash));
        Ok(self.cache.put(&hashes, Remembered::new(profile, now())))
    }
}

fn gave_up_early(error: &DefenderError, deadline: Instant) -> bool {
    let wait = error.retry_after.unwrap_or_default();
    error.kind == Kind::Throttled && Instant::now() + wait < deadline
}

fn unanswered(hash: FileHash, error: &DefenderError) -> HashResult {
    let (status, error) = error.to_item();
    HashResult::unanswered(&hash.to_string(), hash.kind(), status, error)
}

fn verified(entry: &Remembered, cached: bool, stale: bool) -> Verified {
    Verified {
        profile: entry.profile.clone(),
        as_of: entry.as_of.clone(),
        cached,
        stale,
    }
}

/// One line a call; one more, an error, when somebody has to act.
fn log(answer: &LookupAnswer) {
    let s = &answer.summary;
    tracing::info!(
        total = s.total,
        malicious = s.malicious,
        suspicious = s.suspicious,
        unknown = s.unknown,
        clean = s.clean,
        invalid = s.invalid,
        failed = s.failed,
        complete = answer.complete,
        "looked up hashes"
    );
    let failures = answer
        .results
        .iter()
        .filter(|result| result.status == ItemStatus::Failed);
    if let Some(error) = failures.filter_map(|result| result.error.as_ref()).next() {
        tracing::error!(code = error.code, failed = s.failed, "{}", error.detail);
    }
}
