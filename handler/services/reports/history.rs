//! The history of a report in storage, written so that readers only see complete runs.
//!
//! Order of the writes: the data files into the folder of this attempt, the
//! commit record (created once a slot: the winner of two runs), the manifest in
//! the folder, the deliveries with their marks, the pointer to the newest run.
//! Every run first finishes what a crash between two of them left behind.
//! Nothing in the history is overwritten or deleted.

mod draft;
mod publish;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use functions::{
    json,
    report::run::{self, Manifest, ManifestFile, Slot},
};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::delivery::Delivery;
use crate::{
    clients::storage::Storage,
    config::{Config, ReportLocation},
    outbound::{Code, Failure, HttpClient, Identity, Kind},
};
use publish::{OVERLAP, is_ahead};

pub use draft::{Draft, Published};
pub(crate) use publish::sha256;

/// The number of commit records that are read where the pointer was lost.
const MAX_RECORDS: usize = 100;

/// The history of one report, and the pointer to its newest run.
#[derive(Debug)]
pub struct History {
    report: &'static str,
    runs: Storage,
    latest: Storage,
    deliveries: Vec<Delivery>,
}

impl History {
    /// The history of the report of this name; touches nothing yet.
    pub(crate) fn new(
        report: &'static str,
        location: ReportLocation,
        config: &Config,
        http: &Arc<HttpClient>,
        identity: &Arc<Identity>,
    ) -> Self {
        let storage = |place| Storage::new(place, Arc::clone(http), Arc::clone(identity));
        Self {
            report,
            runs: storage(location),
            latest: storage(config.reports.latest.clone()),
            deliveries: Vec::new(),
        }
    }

    /// Adds something that is delivered once for each run.
    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.deliveries.push(delivery);
        self
    }

    /// The name of the report, as in paths.
    pub(crate) fn name(&self) -> &'static str {
        self.report
    }

    /// Where the history is stored, for messages.
    pub(crate) fn location(&self) -> String {
        self.runs.place().to_string()
    }

    /// Finishes what crashed runs left and returns the newest run. Repeats a
    /// refused call for up to `patience`, because a new role takes its time.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn begin(&self, patience: Duration) -> Result<Option<Manifest>, Failure> {
        let end = Instant::now() + patience;
        let mut wait = Duration::from_secs(1);
        loop {
            match self.finish_others().await {
                Err(error)
                    if error.code == Code::StorageForbidden && Instant::now() + wait < end =>
                {
                    tracing::warn!(
                        code = error.code.as_str(),
                        cause = error.cause,
                        "storage refuses the identity; trying again"
                    );
                    sleep(wait).await;
                    wait *= 2;
                }
                finished => return finished,
            }
        }
    }

    async fn finish_others(&self) -> Result<Option<Manifest>, Failure> {
        let (newest, now) = (self.newest().await?, OffsetDateTime::now_utc());
        for (path, written) in self.unfinished(newest.as_ref()).await? {
            let Some(file) = self.runs.read(&path).await? else {
                continue;
            };
            match json::read_object::<Manifest>(&file.bytes) {
                // A directory may have the same wrong clock as the run.
                Ok(manifest) if is_ahead(&manifest, written.min(now)) => {}
                Ok(manifest) if path == run::commit_record(self.report, &manifest.slot) => {
                    self.finish(&manifest, file.bytes).await?;
                }
                _ => tracing::error!(
                    code = "report_record",
                    path,
                    "a commit record cannot be read and is skipped"
                ),
            }
        }
        self.newest().await
    }

    /// Commit records that a crash may have left without a manifest or pointer,
    /// with the time at which storage received them.
    async fn unfinished(
        &self,
        newest: Option<&Manifest>,
    ) -> Result<Vec<(String, OffsetDateTime)>, Failure> {
        let mut records = self.runs.list(&run::commit_records(self.report)).await?;
        let own = newest.map(|newest| run::commit_record(self.report, &newest.slot));
        let written = records
            .iter()
            .find(|record| Some(&record.path) == own.as_ref())
            .map(|record| record.modified);
        if let Some(own) = &own {
            let is_new = |modified| written.is_some_and(|written| modified + OVERLAP >= written);
            records.retain(|record| {
                record.path != *own && (record.path > *own || is_new(record.modified))
            });
        }
        records.drain(..records.len().saturating_sub(MAX_RECORDS));
        let records = records.into_iter();
        Ok(records
            .map(|record| (record.path, record.modified))
            .collect())
    }

    /// The run of a slot, if it has one.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn run_of(&self, slot: &Slot) -> Result<Option<Manifest>, Failure> {
        self.record(&self.runs, &run::commit_record(self.report, slot))
            .await
    }

    /// The newest run.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn newest(&self) -> Result<Option<Manifest>, Failure> {
        self.record(&self.latest, &run::latest(self.report)).await
    }

    async fn record(&self, storage: &Storage, path: &str) -> Result<Option<Manifest>, Failure> {
        let Some(file) = storage.read(path).await? else {
            return Ok(None);
        };
        // A crash or a full disk can leave a file without content; the records have it.
        if file.bytes.trim_ascii().is_empty() {
            tracing::warn!(
                code = "report_record",
                path,
                "the file is empty and is written again"
            );
            return Ok(None);
        }
        let parsed = json::read_object::<Manifest>(&file.bytes);
        let below = format!("history/{}/", self.report);
        match parsed {
            Ok(manifest) if manifest.folder.starts_with(&below) => Ok(Some(manifest)),
            _ => Err(Failure::new(
                Kind::Unusable,
                Code::StorageUnusable,
                format!(
                    "{path} in {} is not a file that this version writes; was it changed by hand?",
                    storage.place()
                ),
                "no manifest",
            )),
        }
    }

    /// A file of a run, as it was written; `None` when its folder has expired.
    ///
    /// # Errors
    /// [`Failure`]; also for a file that was changed since.
    pub(crate) async fn file(
        &self,
        run: &Manifest,
        file: &ManifestFile,
    ) -> Result<Option<Bytes>, Failure> {
        let path = format!("{}/{}", run.folder, file.name);
        let Some(found) = self.runs.read(&path).await? else {
            return Ok(None);
        };
        if sha256(&found.bytes) == file.sha256 {
            return Ok(Some(found.bytes));
        }
        Err(Failure::new(
            Kind::Unusable,
            Code::StorageUnusable,
            format!("{path} is not what the run wrote: its SHA-256 differs from the manifest"),
            "sha256",
        ))
    }

    /// A JSON file of a run.
    ///
    /// # Errors
    /// As [`Reports::file`].
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        run: &Manifest,
        name: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(file) = run.file(name) else {
            return Ok(None);
        };
        let bytes = self.file(run, file).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}
