//! Look-up of file hashes: the use case behind `hash_lookup` and `lookup`.
//!
//! Every input gets a result. A hash is asked once however many ask for it; a
//! list asks its SHA-256 first, because their answers name the SHA-1.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use functions::hashes::{
    Evidence, FileHash, HashKind, HashResult, ItemError, ItemStatus, LookupAnswer, Observable,
    Setting, Source, Verified,
};
use futures::{
    future,
    stream::{self, Stream, StreamExt},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{VerdictCache, in_days, now, verdict_cache::Remembered};
use crate::{
    clients::defender::{DefenderError, files::FilesClient},
    config::Config,
    single_flight::SingleFlight,
};

/// Hashes of one list under way at a time.
const AT_A_TIME: usize = 64;

/// How long the SHA-1 of a list wait for its SHA-256.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long an Indicator that is advised should live.
const INDICATOR_DAYS: i64 = 90;

type Asked = Result<Arc<Remembered>, DefenderError>;

/// The end of a flight: what came of it, and the time it had.
type Landed = (Asked, Instant);

/// Verdicts on file hashes.
#[derive(Debug)]
pub struct HashLookup {
    files: FilesClient,
    cache: VerdictCache,
    flights: SingleFlight<FileHash, Landed>,
    time_limit: Duration,
    portal: &'static str,
}

impl HashLookup {
    /// A look-up over the Files API with the settings.
    pub fn new(files: FilesClient, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            files,
            cache: VerdictCache::default(),
            flights: SingleFlight::default(),
            time_limit: config.lookup_deadline,
            portal: config.portal(),
        })
    }

    fn setting(&self) -> Setting {
        Setting {
            portal: self.portal.to_owned(),
            indicator_expires: in_days(INDICATOR_DAYS),
        }
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
        Self::answer(inputs, &results, &DefenderError::deadline())
    }

    /// Answers for every distinct hash among the inputs, as they come in.
    ///
    /// The SHA-1 wait for the SHA-256 of the list, but not long: one that hangs
    /// must not take their time.
    pub fn look_up_each(
        self: &Arc<Self>,
        inputs: &[Observable],
        deadline: Instant,
    ) -> impl Stream<Item = (FileHash, HashResult)> {
        let mut seen = HashSet::new();
        let distinct = inputs
            .iter()
            .filter_map(|input| input.hash.as_ref().ok().copied())
            .filter(|hash| seen.insert(*hash));
        let (sha256, sha1): (Vec<_>, Vec<_>) =
            distinct.partition(|hash| hash.kind() == HashKind::Sha256);
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

    /// Adds the evidence that is asked for to every result with a verdict, the
    /// sources of all of them side by side.
    pub async fn add_evidence(
        &self,
        results: Vec<HashResult>,
        include: Include,
        deadline: Instant,
    ) -> Vec<HashResult> {
        let mut distinct: HashMap<FileHash, Evidence> = HashMap::new();
        let wanted: HashSet<FileHash> = results
            .iter()
            .filter(|r| r.verdict.is_some())
            .filter_map(HashResult::sha1)
            .collect();
        let mut answers = stream::iter(wanted)
            .map(|sha1| async move { (sha1, self.evidence(sha1, include, deadline).await) })
            .buffer_unordered(AT_A_TIME);
        while let Some((sha1, evidence)) = answers.next().await {
            distinct.insert(sha1, evidence);
        }
        let setting = self.setting();
        let with = |result: HashResult| match (result.verdict, result.sha1()) {
            (None, _) => result,
            (Some(_), sha1) => {
                let evidence = sha1
                    .and_then(|sha1| distinct.get(&sha1).cloned())
                    .unwrap_or_else(|| without_sha1(include));
                result.with_evidence(evidence, &setting)
            }
        };
        results.into_iter().map(with).collect()
    }

    async fn evidence(&self, sha1: FileHash, include: Include, deadline: Instant) -> Evidence {
        let (stats, alerts, devices) = tokio::join!(
            asked_for(include.stats, self.files.stats(sha1, deadline)),
            asked_for(include.alerts, self.files.alerts(sha1, deadline)),
            asked_for(
                include.devices.is_some(),
                self.files.devices(sha1, deadline)
            ),
        );
        let devices = devices.map(|mut source| {
            if include.devices == Some(Shown::Counted) {
                source
                    .data
                    .iter_mut()
                    .for_each(|listed| listed.items = None);
            }
            source
        });
        Evidence {
            stats,
            alerts,
            devices,
        }
    }

    /// Puts results in the order of the inputs and sums them up. A hash without
    /// a result was not asked any more, because of `missing`.
    pub fn answer(
        inputs: &[Observable],
        results: &HashMap<FileHash, HashResult>,
        missing: &DefenderError,
    ) -> LookupAnswer {
        let in_order = inputs.iter().filter_map(|input| {
            let result = match &input.hash {
                Ok(hash) => results
                    .get(hash)
                    .cloned()
                    .or_else(|| Some(unanswered(*hash, missing))),
                Err(_) => HashResult::invalid(input),
            };
            result.map(|result| HashResult {
                same_file: input.file,
                ..result
            })
        });
        let answer = LookupAnswer::new(now(), in_order.collect());
        log(&answer);
        answer
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
    async fn ask(self: &Arc<Self>, hash: FileHash, deadline: Instant) -> Asked {
        loop {
            let flight = self.flights.run(hash, || {
                let this = Arc::clone(self);
                async move { (this.ask_now(hash, deadline).await, deadline) }
            });
            match timeout_at(deadline, flight).await {
                Err(_) => return Err(DefenderError::deadline()),
                Ok((None, _)) => return Err(DefenderError::internal()),
                // Whoever asked had less time than this caller has: ask again.
                Ok((Some((Err(error), had)), true))
                    if error.is_temporary() && had + HEAD_START < deadline => {}
                Ok((Some((result, _)), _)) => return result,
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

/// Which evidence an answer should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// How often the tenant saw the file.
    pub stats: bool,
    /// The alerts that involve it.
    pub alerts: bool,
    /// The devices that saw it, and how much of them the caller may see.
    pub devices: Option<Shown>,
}

impl Include {
    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How much of a list a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its items.
    Listed,
    /// How many there are.
    Counted,
}

async fn asked_for<T>(
    wanted: bool,
    source: impl Future<Output = Result<T, DefenderError>>,
) -> Option<Source<T>> {
    if !wanted {
        return None;
    }
    let result = source.await;
    Some(Source::new(result.map_err(|error| {
        tracing::info!(
            code = error.code,
            cause = error.cause,
            "a source of evidence cannot be read"
        );
        error.to_item().1
    })))
}

/// Evidence is found by SHA-1 alone, and Defender named none.
fn without_sha1(include: Include) -> Evidence {
    let error = ItemError {
        code: "sha1_unknown".to_owned(),
        detail: "this source knows files by SHA-1 alone, and Microsoft Defender named none for this file".to_owned(),
        retry_after_seconds: None,
        cause: String::new(),
    };
    let told = |wanted: bool| wanted.then(|| error.clone());
    Evidence {
        stats: told(include.stats).map(|error| Source::new(Err(error))),
        alerts: told(include.alerts).map(|error| Source::new(Err(error))),
        devices: told(include.devices.is_some()).map(|error| Source::new(Err(error))),
    }
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

/// One line a call; one more for each kind of failure that somebody has to
/// act on.
fn log(answer: &LookupAnswer) {
    let s = &answer.summary;
    let throttled = answer
        .results
        .iter()
        .filter(|result| result.status == ItemStatus::Throttled)
        .count();
    tracing::info!(
        code = "looked_up",
        total = s.total,
        malicious = s.malicious,
        suspicious = s.suspicious,
        unknown = s.unknown,
        clean = s.clean,
        invalid = s.invalid,
        throttled,
        failed = s.failed - throttled,
        stale = answer.results.iter().filter(|result| result.stale).count(),
        "looked up hashes"
    );
    let mut told = HashSet::new();
    for result in answer
        .results
        .iter()
        .filter(|result| result.status == ItemStatus::Failed)
    {
        let Some(error) = result
            .error
            .as_ref()
            .filter(|error| told.insert(error.code.as_str()))
        else {
            continue;
        };
        tracing::error!(
            code = error.code,
            cause = error.cause,
            file.hash = result.hash,
            "{}",
            error.detail
        );
    }
}
