//! Publishes a run: files, commit record, manifest, deliveries, pointer.

use std::{collections::BTreeMap, time::Duration};

use aws_lc_rs::digest;
use bytes::Bytes;
use functions::report::run::{self, File, JSON, MANIFEST, Manifest, ManifestFile, Slot};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Draft, History, Published};
use crate::{
    clients::storage::Created,
    outbound::{Code, Failure, Kind},
};

/// A run that ends this long after a later one is still finished.
pub(super) const OVERLAP: Duration = Duration::from_secs(3_600);

/// Clocks that differ by less agree.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// Tries to move the pointer, which another run may move at the same time.
const MAX_MOVES: usize = 5;

impl History {
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

    pub(super) fn manifest(&self, slot: &Slot, draft: &Draft) -> Manifest {
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
    pub(super) async fn finish(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), Failure> {
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
    pub(super) async fn deliver(&self, manifest: &Manifest) -> Result<(), Failure> {
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
    pub(super) async fn point_to(&self, manifest: &Manifest, bytes: Bytes) -> Result<(), Failure> {
        let path = run::latest(self.report);
        for _ in 0..MAX_MOVES {
            let before = self.latest.read(&path).await?;
            let newest = before
                .as_ref()
                .and_then(|file| functions::json::read_object::<Manifest>(&file.bytes).ok());
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
pub(super) fn is_ahead(manifest: &Manifest, written: OffsetDateTime) -> bool {
    let read = OffsetDateTime::parse(&manifest.as_of, &Rfc3339);
    let is_ahead = read.is_ok_and(|read| read > written + CLOCK_SKEW);
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
