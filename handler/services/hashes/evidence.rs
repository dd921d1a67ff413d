//! Evidence next to verdicts: once for each file, each source by itself.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
};

use functions::hashes::{
    Evidence, FileHash, HashKind, HashResult, ItemError, SHA1_UNKNOWN, Source,
};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::item::as_item;
use super::{AT_A_TIME, HashLookup};
use crate::outbound::Failure;

impl HashLookup {
    /// Adds the evidence that is asked for to every result with a verdict, the
    /// sources of all of them at the same time.
    pub async fn add_evidence(
        &self,
        results: Vec<HashResult>,
        include: Include,
        deadline: Instant,
    ) -> Vec<HashResult> {
        let wanted: HashSet<Vec<FileHash>> = results
            .iter()
            .filter(|result| result.verdict.is_some())
            .map(HashResult::known_hashes)
            .collect();
        let distinct: HashMap<Vec<FileHash>, Evidence> = stream::iter(wanted)
            .map(|file| async move {
                let evidence = self.evidence(&file, include, deadline).await;
                (file, evidence)
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        let setting = self.setting();
        let with = |result: HashResult| match distinct.get(&result.known_hashes()) {
            Some(evidence) if result.verdict.is_some() => {
                result.with_evidence(evidence.clone(), &setting)
            }
            _ => result,
        };
        results.into_iter().map(with).collect()
    }

    /// The evidence about the file that has these hashes.
    async fn evidence(&self, file: &[FileHash], include: Include, deadline: Instant) -> Evidence {
        let by_hash = asked_for(
            "indicators",
            include.indicators,
            self.indicators.of_file(file, deadline),
        );
        let Some(sha1) = file.iter().find(|hash| hash.kind() == HashKind::Sha1) else {
            return Evidence {
                indicators: by_hash.await,
                ..without_sha1(include)
            };
        };
        let (indicators, stats, alerts, mut devices) = tokio::join!(
            by_hash,
            asked_for("stats", include.stats, self.files.stats(*sha1, deadline)),
            asked_for("alerts", include.alerts, self.files.alerts(*sha1, deadline)),
            asked_for(
                "devices",
                include.devices.is_some(),
                self.files.devices(*sha1, deadline)
            ),
        );
        if include.devices == Some(DeviceDetail::Counted)
            && let Some(listed) = devices.as_mut().and_then(|source| source.data.as_mut())
        {
            listed.items = None;
        }
        Evidence {
            stats,
            alerts,
            devices,
            indicators,
        }
    }
}

/// The evidence that an answer should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// How often the tenant saw the file.
    pub stats: bool,
    /// The alerts that involve it.
    pub alerts: bool,
    /// The devices that saw it, and how much of them the caller may see.
    pub devices: Option<DeviceDetail>,
    /// The tenant's own Indicators for it.
    pub indicators: bool,
}

impl Include {
    /// Returns true if no evidence is requested.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How much of a list a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDetail {
    /// Its items.
    Listed,
    /// How many there are.
    Counted,
}

async fn asked_for<T>(
    name: &str,
    wanted: bool,
    source: impl Future<Output = Result<T, Failure>>,
) -> Option<Source<T>> {
    if !wanted {
        return None;
    }
    let result = source.await;
    Some(Source::new(result.map_err(|error| {
        tracing::info!(
            code = error.code.as_str(),
            cause = error.cause,
            source = name,
            "a source of evidence cannot be read"
        );
        as_item(&error).1
    })))
}

/// Most sources know files only by SHA-1, and Defender named none.
fn without_sha1(include: Include) -> Evidence {
    let error = ItemError {
        code: SHA1_UNKNOWN.to_owned(),
        detail:
            "this source knows files only by SHA-1, and Microsoft Defender named none for this file"
                .to_owned(),
        retry_after_seconds: None,
        cause: String::new(),
    };
    let missing = |wanted: bool| wanted.then(|| error.clone());
    Evidence {
        stats: missing(include.stats).map(|error| Source::new(Err(error))),
        alerts: missing(include.alerts).map(|error| Source::new(Err(error))),
        devices: missing(include.devices.is_some()).map(|error| Source::new(Err(error))),
        indicators: None,
    }
}
