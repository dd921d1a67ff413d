//! Evidence beside verdicts: asked for by SHA-1, each source for itself.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
};

use functions::hashes::{Evidence, FileHash, HashResult, ItemError, Source};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::{AT_A_TIME, HashLookup};
use crate::clients::defender::DefenderError;

impl HashLookup {
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
