//! The history of a report in storage, written so that readers only see complete runs.
//!
//! Order of the writes: the data files into the folder of this attempt, the
//! commit record (created once a slot: the winner of two runs), the manifest in
//! the folder, the deliveries with their marks, the pointer to the newest run.
//! Every run first finishes what a crash between two of them left behind.
//! Nothing in the history is overwritten or deleted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use bytes::Bytes;
use functions::report::run::{self, File, JSON, MANIFEST, Manifest, ManifestFile, Slot};
use serde::de::DeserializeOwned;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::{Instant, sleep};

use super::delivery::Delivery;
use crate::{
    clients::storage::{Created, Storage},
    config::{Config, ReportLocation},
    outbound::{Code, Failure, HttpClient, Identity, Kind},
};

/// The number of commit records that are read where the pointer was lost.
const MAX_RECORDS: usize = 100;

/// A run that ends this long after a later one is still finished.
const OVERLAP: Duration = Duration::from_secs(3_600);

/// Tries to move the pointer, which another run may move at the same time.
const MAX_MOVES: usize = 5;

/// The content of a run.
#[derive(Debug, Default)]
pub struct Draft {
    /// Time at which its facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// The reasons why not everything could be read; empty when it could.
    pub reasons: Vec<String>,
    /// The queries by name, with their text.
    pub queries: Vec<(&'static str, &'static str)>,
    /// Its files, in the order in which they are written.
    pub files: Vec<File>,
}

/// The outcome of a run that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the run of its slot.
    Written(Manifest),
    /// Its slot already had this run; the new one does not count.
    AlreadyThere(Manifest),
}

impl Published {
    /// The run of the slot.
    pub fn manifest(&self) -> &Manifest {
        let (Self::Written(manifest) | Self::AlreadyThere(manifest)) = self;
        manifest
    }
}

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
        let newest = self.newest().await?;
        for (path, written) in self.unfinished(newest.as_ref()).await? {
            let Some(file) = self.runs.read(&path).await? else {
                continue;
            };
            match serde_json::from_slice::<Manifest>(&file.bytes) {
                Ok(manifest) if is_ahead(&manifest, written) => {}
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
        let parsed = serde_json::from_slice::<Manifest>(&file.bytes);
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

    /// Writes a run, unless its slot has one by then.
    ///
    /// # Errors
    /// [`Failure`]. Readers then see either the previous run or this one
    /// in full; the next run finishes it.
    pub(crate) async fn publish(&self, slot: &Slot, draft: Draft) -> Result<Published, Failure> {
        let manifest = self.manifest(slot, &draft);
        for file in draft.files {
            let path = format!("{}/{}", manifest.folder, file.name);
            self.runs
                .create(&path, file.content_type, file.text.into())
                .await?;
        }
        let bytes = Bytes::from(serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n");
        let record = run::commit_record(self.report, slot);
        if self.runs.create(&record, JSON, bytes.clone()).await? == Created::AlreadyThere
            && let Some(winner) = self.run_of(slot).await?
            // The answer to our own write may have been lost.
            && winner.folder != manifest.folder
        {
            return Ok(Published::AlreadyThere(winner));
        }
        self.finish(&manifest, bytes).await?;
        Ok(Published::Written(manifest))
    }

    fn manifest(&self, slot: &Slot, draft: &Draft) -> Manifest {
        let attempt = format!("{:08x}", fastrand::u32(..));
        Manifest {
            slot: slot.clone(),
            as_of: draft.as_of.clone(),
            complete: draft.reasons.is_empty(),
            reasons: draft.reasons.clone(),
            folder: run::folder(self.report, slot, &attempt),
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            csv_formula_guard: true,
            queries: draft
                .queries
                .iter()
                .map(|(name, text)| ((*name).to_owned(), sha256(text.as_bytes())))
                .collect::<BTreeMap<_, _>>(),
            files: draft.files.iter().map(in_manifest).collect(),
        }
    }

    /// The steps after the commit record.
    async fn finish(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), Failure> {
        let path = format!("{}/{MANIFEST}", manifest.folder);
        let newest = self.newest().await?;
        let is_newer = is_newer(manifest, newest.as_ref());
        let has_manifest = self.runs.has(&path).await?;
        if !has_manifest {
            self.runs.create(&path, JSON, bytes.clone()).await?;
        }
        if !has_manifest || is_newer {
            self.deliver(manifest).await?;
        }
        if is_newer {
            self.point_to(manifest, bytes).await?;
        }
        Ok(())
    }

    /// Delivers what was not delivered yet. The mark comes first, so of several
    /// processes one delivers, and a crash never causes a second delivery.
    async fn deliver(&self, manifest: &Manifest) -> Result<(), Failure> {
        for delivery in &self.deliveries {
            let Some(file) = manifest.file(delivery.file) else {
                continue;
            };
            let Some(content) = self.file(manifest, file).await? else {
                continue;
            };
            let mark = format!("{}/{}", manifest.folder, delivery.mark);
            let empty = Bytes::from_static(b"{}\n");
            if self.runs.create(&mark, JSON, empty).await? == Created::New {
                delivery.send(&content).await;
            }
        }
        Ok(())
    }

    /// Moves the pointer forward; back only from a run of a clock that was wrong.
    async fn point_to(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), Failure> {
        let path = run::latest(self.report);
        for _ in 0..MAX_MOVES {
            let before = self.latest.read(&path).await?;
            let newest = before
                .as_ref()
                .and_then(|file| serde_json::from_slice::<Manifest>(&file.bytes).ok());
            if !is_newer(manifest, newest.as_ref())
                || self
                    .latest
                    .replace(&path, JSON, bytes.clone(), before)
                    .await?
            {
                return Ok(());
            }
        }
        Err(Failure::new(
            Kind::Unavailable,
            Code::StorageUnavailable,
            format!("other runs keep writing {path}; the next run finishes this one"),
            "precondition",
        ))
    }
}

/// Returns true if readers should see a run instead of the newest one.
///
/// A newest run with a time in the future would hide every run until then.
fn is_newer(manifest: &Manifest, newest: Option<&Manifest>) -> bool {
    let now = OffsetDateTime::now_utc();
    newest.is_none_or(|newest| newest.age() < manifest.age() || is_ahead(newest, now))
}

/// Returns true if a run claims to be read after it was written.
///
/// Its clock was wrong, and readers never see such a run again.
fn is_ahead(manifest: &Manifest, written: OffsetDateTime) -> bool {
    let read = OffsetDateTime::parse(&manifest.as_of, &Rfc3339);
    let is_ahead = read.is_ok_and(|read| read > written + OVERLAP);
    if is_ahead {
        tracing::error!(
            code = "report_clock",
            slot = %manifest.slot,
            as_of = manifest.as_of,
            "the clock of a run was ahead: it was read after it was written; readers do not get it"
        );
    }
    is_ahead
}

fn in_manifest(file: &File) -> ManifestFile {
    ManifestFile {
        name: file.name.to_owned(),
        content_type: file.content_type.to_owned(),
        rows: file.rows,
        bytes: file.text.len(),
        sha256: sha256(file.text.as_bytes()),
    }
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}
