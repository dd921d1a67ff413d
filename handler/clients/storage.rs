//! Files in a directory or in Blob storage, through one interface.
//!
//! Only a pointer is ever overwritten, and only with the version that it replaces.
//! Sources: <https://docs.rs/object_store>,
//! <https://learn.microsoft.com/rest/api/storageservices/put-blob>

mod azure;
mod failure;
mod open;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, UpdateVersion, path::Path};
use time::OffsetDateTime;

use crate::{
    config::ReportLocation,
    outbound::{Failure, HttpClient, Identity},
};
use failure::{Reason, unusable};
use open::{Missing, Opened};

/// Audience of Blob storage, the same in every cloud.
pub const STORAGE_AUDIENCE: &str = "https://storage.azure.com";

/// Largest file that is read, in bytes; the largest report has a fifth.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// The outcome of creating a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// A file of this name exists and stays unchanged.
    AlreadyThere,
}

/// A file with the version that names it when it is replaced.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// Its content.
    pub bytes: Bytes,
    version: UpdateVersion,
}

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path below the root.
    pub path: String,
    /// When it was written last.
    pub modified: OffsetDateTime,
}

/// A directory or a container.
#[derive(Debug)]
pub struct Storage {
    place: ReportLocation,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl Storage {
    /// The storage at a place; touches nothing yet.
    pub fn new(place: ReportLocation, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        Self {
            place,
            http,
            identity,
        }
    }

    /// The place, for messages.
    pub fn place(&self) -> &ReportLocation {
        &self.place
    }

    /// A file; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Failure`]; also for a file that is far larger than any report.
    pub async fn read(&self, path: &str) -> Result<Option<Versioned>, Failure> {
        let Some(Opened { store, refusal }) = self.open(Missing::Stays)? else {
            return Ok(None);
        };
        let found = match self.in_time(store.get(&Path::from(path))).await? {
            Ok(found) => found,
            Err(Error::NotFound { .. }) if Reason::of_refusal(&refusal) == Reason::Other => {
                return Ok(None);
            }
            Err(error) => return Err(self.failure(&error, &refusal)),
        };
        if found.meta.size > MAX_FILE_BYTES {
            let detail = format!(
                "{path} in {} is larger than {MAX_FILE_BYTES} bytes; was it changed by hand?",
                self.place
            );
            let cause = format!("{} bytes", found.meta.size);
            return Err(unusable(detail, cause));
        }
        let version = UpdateVersion {
            e_tag: found.meta.e_tag.clone(),
            version: found.meta.version.clone(),
        };
        let bytes = self.in_time(found.bytes()).await?;
        let bytes = bytes.map_err(|error| self.failure(&error, &refusal))?;
        Ok(Some(Versioned { bytes, version }))
    }

    /// Returns true if a file exists.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn has(&self, path: &str) -> Result<bool, Failure> {
        let Some(Opened { store, refusal }) = self.open(Missing::Stays)? else {
            return Ok(false);
        };
        match self.in_time(store.head(&Path::from(path))).await? {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure(&error, &refusal)),
        }
    }

    /// The files below a folder, in the order of their paths.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, Failure> {
        let Some(Opened { store, refusal }) = self.open(Missing::Stays)? else {
            return Ok(Vec::new());
        };
        let files = store.list(Some(&Path::from(folder)));
        let found: Result<Vec<_>, Error> = self.in_time(files.try_collect()).await?;
        let found = found.map_err(|error| self.failure(&error, &refusal))?;
        let mut files: Vec<Listed> = found
            .into_iter()
            .map(|file| Listed {
                path: file.location.to_string(),
                modified: OffsetDateTime::from_unix_timestamp(file.last_modified.timestamp())
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            })
            .collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }
}
