//! Runs of a report in storage, written so that readers always see a whole one.
//!
//! Order of the writes: the data files into a folder of this attempt, the
//! commit record (created once a slot: the winner of two runs), the manifest
//! in the folder, the notice to people and the mark that they were told, the
//! pointer to the newest run. Every run first finishes what a crash between two of them left behind. Nothing in
//! the history is overwritten or deleted.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use bytes::Bytes;
use functions::report::run::{self, File, JSON, MANIFEST, Manifest, ManifestFile, Slot};
use serde::de::DeserializeOwned;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::time::{Instant, sleep};

use super::notifier::Notifier;
use crate::{
    clients::storage::{Created, Storage, StorageError},
    config::{Config, Place},
    host::envelope::TimerInfo,
    http::HttpClient,
    identity::Identity,
};

/// File of a run with the message to people; a run that has none tells nothing.
pub const NOTICE: &str = "notice.json";

/// Says in the folder of a run that its message was posted, or was tried to be.
const TOLD: &str = "notice.told";

/// Records that are looked at where the pointer was lost.
const MOST_RECORDS: usize = 100;

/// A run that ends this long after a later one is still finished.
const OVERLAP: Duration = Duration::from_secs(3_600);

/// Tries at the pointer, which somebody else may move at the same time.
const MOST_MOVES: usize = 5;

/// What a run is made of.
#[derive(Debug, Default)]
pub struct Draft {
    /// When its facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// Why not everything could be read; empty when it could.
    pub reasons: Vec<String>,
    /// The queries by name, with their text.
    pub queries: Vec<(&'static str, &'static str)>,
    /// Its files, in the order in which they are written.
    pub files: Vec<File>,
}

/// How a run ended that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the run of its slot.
    Written(Manifest),
    /// Its slot had a run already; nothing of this one counts.
    Before(Manifest),
}

impl Published {
    /// The run of the slot.
    pub fn manifest(&self) -> &Manifest {
        let (Self::Written(manifest) | Self::Before(manifest)) = self;
        manifest
    }
}

/// How much time a run has.
#[derive(Clone, Copy, Debug)]
pub struct RunTime {
    /// For reading the facts; what is not read by then is told as missing.
    pub reading: Duration,
    /// For a storage that refuses, because a new role takes its time.
    pub patience: Duration,
}

/// A run that left no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Another run is going on in this process; ask again when it has ended.
    #[error("a run of this report is going on; ask again when it has ended")]
    Running,
    /// A setting is missing, so there is nothing to report on.
    #[error(
        "`{0}` is not set, so there is no such report; docs/configuration.md says what it holds"
    )]
    Off(&'static str),
    /// Nothing could be read, so the report before stays the newest: what was
    /// looked for, and why it was not found.
    #[error("{0} could be read, so no report was written: {1}")]
    Nothing(&'static str, String),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Reasons in one sentence: what failed for the same reason is told together.
pub fn together(reasons: &[String]) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for reason in reasons {
        let (what, why) = reason.split_once(": ").unwrap_or(("", reason));
        match groups.iter_mut().find(|(_, known)| *known == why) {
            Some((whats, _)) => whats.push(what),
            None => groups.push((vec![what], why)),
        }
    }
    let told = groups.iter().map(|(whats, why)| match whats.join(", ") {
        what if what.is_empty() => (*why).to_owned(),
        what => format!("{what}: {why}"),
    });
    told.collect::<Vec<_>>().join("; ")
}

/// A report that is run into a history.
pub trait Report: Send + Sync + 'static {
    /// Its history.
    fn reports(&self) -> &Reports;

    /// Writes the run of a slot, unless it has one.
    ///
    /// # Errors
    /// [`RunError`]; a retry helps when storage or Azure answer again.
    fn run(
        &self,
        slot: &Slot,
        time: RunTime,
    ) -> impl Future<Output = Result<Published, RunError>> + Send;
}

/// The history of one report, and the pointer to its newest run.
#[derive(Debug)]
pub struct Reports {
    report: &'static str,
    history: Storage,
    latest: Storage,
    notifier: Arc<Notifier>,
}

impl Reports {
    /// The history of the report of this name; touches nothing yet.
    pub fn new(
        report: &'static str,
        history: Place,
        config: &Config,
        http: &Arc<HttpClient>,
        identity: &Arc<Identity>,
        notifier: Arc<Notifier>,
    ) -> Self {
        let storage = |place| Storage::new(place, Arc::clone(http), Arc::clone(identity));
        Self {
            report,
            history: storage(history),
            latest: storage(config.reports_latest.clone()),
            notifier,
        }
    }

    /// Its name, as in paths.
    pub fn name(&self) -> &'static str {
        self.report
    }

    /// Where the history lies, for messages.
    pub fn place(&self) -> String {
        self.history.place().to_string()
    }

    /// Finishes what crashed runs left; the newest run. A refusal is asked
    /// again for up to `patience`, because a new role takes its time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn begin(&self, patience: Duration) -> Result<Option<Manifest>, StorageError> {
        let end = Instant::now() + patience;
        let mut wait = Duration::from_secs(1);
        loop {
            match self.finish_others().await {
                Err(error) if error.code == "storage_forbidden" && Instant::now() + wait < end => {
                    tracing::warn!(
                        code = error.code,
                        cause = error.cause,
                        "storage refuses, asking again"
                    );
                    sleep(wait).await;
                    wait *= 2;
                }
                finished => return finished,
            }
        }
    }

    async fn finish_others(&self) -> Result<Option<Manifest>, StorageError> {
        let newest = self.newest().await?;
        for (path, written) in self.unfinished(newest.as_ref()).await? {
            let Some(file) = self.history.read(&path).await? else {
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
                    "a commit record cannot be read; it is left out"
                ),
            }
        }
        self.newest().await
    }

    /// Commit records that a crash may have left without manifest or pointer.
    /// With the time that the storage gives them.
    async fn unfinished(
        &self,
        newest: Option<&Manifest>,
    ) -> Result<Vec<(String, OffsetDateTime)>, StorageError> {
        let mut records = self.history.list(&run::commit_records(self.report)).await?;
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
        records.drain(..records.len().saturating_sub(MOST_RECORDS));
        let records = records.into_iter();
        Ok(records
            .map(|record| (record.path, record.modified))
            .collect())
    }

    /// The run of a slot, if it has one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn run_of(&self, slot: &Slot) -> Result<Option<Manifest>, StorageError> {
        self.record(&self.history, &run::commit_record(self.report, slot))
            .await
    }

    /// The newest run.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn newest(&self) -> Result<Option<Manifest>, StorageError> {
        self.record(&self.latest, &run::latest(self.report)).await
    }

    async fn record(
        &self,
        storage: &Storage,
        path: &str,
    ) -> Result<Option<Manifest>, StorageError> {
        let Some(file) = storage.read(path).await? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice::<Manifest>(&file.bytes);
        let below = format!("history/{}/", self.report);
        match parsed {
            Ok(manifest) if manifest.folder.starts_with(&below) => Ok(Some(manifest)),
            _ => Err(StorageError {
                code: "storage_unusable",
                detail: format!(
                    "{path} in {} is not what this version writes; was it changed by hand?",
                    storage.place()
                ),
                cause: "no manifest".to_owned(),
            }),
        }
    }

    /// A file of a run, as it was written; `None` when its folder has expired.
    ///
    /// # Errors
    /// [`StorageError`]; also for a file that was changed since.
    pub async fn file(
        &self,
        run: &Manifest,
        file: &ManifestFile,
    ) -> Result<Option<Bytes>, StorageError> {
        let path = format!("{}/{}", run.folder, file.name);
        let Some(found) = self.history.read(&path).await? else {
            return Ok(None);
        };
        if sha256(&found.bytes) == file.sha256 {
            return Ok(Some(found.bytes));
        }
        Err(StorageError {
            code: "storage_unusable",
            detail: format!(
                "{path} is not what the run wrote: its SHA-256 differs from the manifest"
            ),
            cause: "sha256".to_owned(),
        })
    }

    /// A JSON file of a run.
    ///
    /// # Errors
    /// As [`Reports::file`].
    pub async fn json<T: DeserializeOwned>(
        &self,
        run: &Manifest,
        name: &str,
    ) -> Result<Option<T>, StorageError> {
        let Some(file) = run.file(name) else {
            return Ok(None);
        };
        let bytes = self.file(run, file).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes a run, unless its slot has one by then.
    ///
    /// # Errors
    /// [`StorageError`]. Readers then still see the run before, or this one
    /// whole; the next run finishes it.
    pub async fn publish(&self, slot: &Slot, draft: Draft) -> Result<Published, StorageError> {
        let manifest = self.manifest(slot, &draft);
        for file in draft.files {
            let path = format!("{}/{}", manifest.folder, file.name);
            self.history
                .create(&path, file.content_type, file.text.into())
                .await?;
        }
        let bytes = Bytes::from(serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n");
        let record = run::commit_record(self.report, slot);
        if self.history.create(&record, JSON, bytes.clone()).await? == Created::Before
            && let Some(winner) = self.run_of(slot).await?
            // The answer to our own write may have been lost.
            && winner.folder != manifest.folder
        {
            return Ok(Published::Before(winner));
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

    /// What comes after the commit record.
    async fn finish(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), StorageError> {
        let path = format!("{}/{MANIFEST}", manifest.folder);
        let newest = self.newest().await?;
        let is_newer = is_newer(manifest, newest.as_ref());
        let is_whole = self.history.has(&path).await?;
        if !is_whole {
            self.history.create(&path, JSON, bytes.clone()).await?;
        }
        if !is_whole || is_newer {
            self.tell(manifest).await?;
        }
        if is_newer {
            self.point_to(manifest, bytes).await?;
        }
        Ok(())
    }

    /// Posts the message of a run that was not posted yet. Posted again when a
    /// crash leaves open whether it was.
    async fn tell(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let told = format!("{}/{TOLD}", manifest.folder);
        let Some(notice) = manifest.file(NOTICE) else {
            return Ok(());
        };
        if self.history.has(&told).await? {
            return Ok(());
        }
        if let Some(message) = self.file(manifest, notice).await? {
            self.notifier.send(&message).await;
            let nothing = Bytes::from_static(b"{}\n");
            self.history.create(&told, JSON, nothing).await?;
        }
        Ok(())
    }

    /// Moves the pointer forward; back only from a run of a clock that was wrong.
    async fn point_to(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), StorageError> {
        let path = run::latest(self.report);
        for _ in 0..MOST_MOVES {
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
        Err(StorageError {
            code: "storage_unavailable",
            detail: format!(
                "{path} is written by somebody else all the time; the next run finishes this one"
            ),
            cause: "precondition".to_owned(),
        })
    }
}

/// Whether a run belongs before readers in place of the newest. A newest one that
/// was read in the future would hide every run until then.
fn is_newer(manifest: &Manifest, newest: Option<&Manifest>) -> bool {
    let now = OffsetDateTime::now_utc();
    newest.is_none_or(|newest| newest.age() < manifest.age() || is_ahead(newest, now))
}

/// Whether a run says that it was read after it was written: its clock was wrong.
/// Such a run is never put before readers again.
fn is_ahead(manifest: &Manifest, written: OffsetDateTime) -> bool {
    let read = OffsetDateTime::parse(&manifest.as_of, &Rfc3339);
    let is_ahead = read.is_ok_and(|read| read > written + OVERLAP);
    if is_ahead {
        tracing::error!(
            code = "report_clock",
            slot = %manifest.slot,
            as_of = manifest.as_of,
            "a run says that it was read after it was written; readers do not get it"
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

/// The slot of a run: the occurrence of the timer that it is for, or the present
/// time where it was started by hand.
///
/// `Next` of the timer is that occurrence when it is about now, or when an
/// occurrence was missed; else it is the one after it.
pub fn slot(timer: Option<&TimerInfo>, now: OffsetDateTime) -> Slot {
    let occurrence = timer.and_then(|timer| {
        let next = timer.next?;
        let is_now =
            now - Duration::from_secs(600) <= next && next <= now + Duration::from_secs(60);
        (is_now || (timer.is_past_due && next < now)).then_some(next)
    });
    let time = occurrence.unwrap_or(now).to_offset(UtcOffset::UTC);
    let (year, month, day) = time.to_calendar_date();
    Slot::at((year, month.into(), day), time.to_hms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn what_failed_for_the_same_reason_is_told_together() {
        let reasons = [
            "one: no token: ask",
            "two: no token: ask",
            "three: late",
            "alone",
        ];
        let told = together(&reasons.map(str::to_owned));
        assert_eq!(told, "one, two: no token: ask; three: late; alone");
    }

    #[test]
    fn a_slot_is_the_occurrence_of_the_timer_or_the_present() {
        let now = datetime!(2026-11-23 06:00:05 UTC);
        let of = |next, is_past_due| {
            let timer = TimerInfo {
                last: None,
                next,
                is_past_due,
            };
            slot(Some(&timer), now).to_string()
        };
        assert_eq!(
            of(Some(datetime!(2026-11-23 06:00 UTC)), false),
            "20261123T060000Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 06:01 UTC)), false),
            "20261123T060100Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 08:00 +2)), false),
            "20261123T060000Z"
        );
        // The one after this run, a run by hand, a missed one, no monitor.
        assert_eq!(
            of(Some(datetime!(2026-11-24 06:00 UTC)), false),
            "20261123T060005Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 00:00 UTC)), false),
            "20261123T060005Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-23 00:00 UTC)), true),
            "20261123T000000Z"
        );
        assert_eq!(
            of(Some(datetime!(2026-11-24 06:00 UTC)), true),
            "20261123T060005Z"
        );
        assert_eq!(of(None, true), "20261123T060005Z");
        assert_eq!(slot(None, now).to_string(), "20261123T060005Z");
    }
}
