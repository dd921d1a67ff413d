//! Files in a directory or in Blob storage, through one interface.
//!
//! Only a pointer is ever overwritten, and only with the version that it replaces.
//! Sources: <https://docs.rs/object_store>,
//! <https://learn.microsoft.com/rest/api/storageservices/put-blob>

mod azure;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    Attribute, Attributes, BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig, UpdateVersion, azure::MicrosoftAzureBuilder, local::LocalFileSystem, path::Path,
};
use time::OffsetDateTime;
use tokio::time::sleep;

use self::azure::{Connector, Refusal, StorageTokens};
use crate::{
    config::ReportLocation,
    outbound::{Code, Failure, HttpClient, Identity, Kind, retry},
};

/// Audience of Blob storage, the same in every cloud.
pub const STORAGE_AUDIENCE: &str = "https://storage.azure.com";

/// Largest file that is read, in bytes; the largest report has a fifth.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// Longest time in which a failed call is tried again.
const RETRY_TIME: Duration = Duration::from_secs(30);

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

/// An opened store, and the last refusal of the service behind it.
struct Opened {
    store: Arc<dyn ObjectStore>,
    refusal: Refusal,
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

    /// Creates a file, unless it exists.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn create(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
    ) -> Result<Created, Failure> {
        let opened = self.open_for_writing()?;
        match self
            .put(&opened, path, content_type, bytes, PutMode::Create)
            .await
        {
            Ok(()) => Ok(Created::New),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Ok(Created::AlreadyThere)
            }
            Err(error) => Err(self.failure(&error, &opened.refusal)),
        }
    }

    /// Writes a file in place of the version that was read, or of none.
    ///
    /// Returns false if another writer was faster. A directory has no versions: there
    /// the last writer wins.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn replace(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
        previous: Option<Versioned>,
    ) -> Result<bool, Failure> {
        let mode = match (&self.place, previous) {
            (_, None) => PutMode::Create,
            (ReportLocation::Directory(_), Some(_)) => PutMode::Overwrite,
            (ReportLocation::Blob { .. }, Some(previous)) => PutMode::Update(previous.version),
        };
        let opened = self.open_for_writing()?;
        match self.put(&opened, path, content_type, bytes, mode).await {
            Ok(()) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. })
                if Reason::of_refusal(&opened.refusal) == Reason::Other =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failure(&error, &opened.refusal)),
        }
    }

    /// A file; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Failure`]; also for a file that is far larger than any report.
    pub async fn read(&self, path: &str) -> Result<Option<Versioned>, Failure> {
        let Some(Opened { store, refusal }) = self.open(Missing::Stays)? else {
            return Ok(None);
        };
        let found = match store.get(&Path::from(path)).await {
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
        let bytes = found.bytes().await;
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
        match store.head(&Path::from(path)).await {
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
        let found: Result<Vec<_>, Error> =
            store.list(Some(&Path::from(folder))).try_collect().await;
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

    /// Writes a file, and writes it again if the response was lost.
    ///
    /// A file created twice is reported as already there, and the caller compares.
    async fn put(
        &self,
        opened: &Opened,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
        mode: PutMode,
    ) -> Result<(), Error> {
        let mut options = PutOptions::from(mode);
        if matches!(self.place, ReportLocation::Blob { .. }) {
            options.attributes = Attributes::from_iter([
                (Attribute::ContentType, content_type),
                (Attribute::CacheControl, "no-cache"),
            ]);
        }
        let (at, mut tries) = (Path::from(path), 0);
        loop {
            let put = opened
                .store
                .put_opts(&at, bytes.clone().into(), options.clone());
            match put.await {
                Ok(_) => return Ok(()),
                Err(error @ Error::Generic { .. })
                    if tries < retry::MAX_RETRIES && own_failure(&error).is_none() =>
                {
                    tracing::warn!(code = "storage_retry", path, cause = %one_line(&error), "a write failed");
                    sleep(retry::delay(tries, None, fastrand::f64())).await;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn open_for_writing(&self) -> Result<Opened, Failure> {
        let opened = self.open(Missing::IsCreated)?;
        opened.ok_or_else(|| unusable(format!("{} cannot be created", self.place), "open".into()))
    }

    /// The store; `None` when it is a directory that does not exist.
    fn open(&self, missing: Missing) -> Result<Option<Opened>, Failure> {
        let refusal = Refusal::default();
        let store = match &self.place {
            ReportLocation::Directory(path) => directory(path, missing),
            ReportLocation::Blob {
                endpoint,
                account,
                container,
            } => self
                .container(endpoint.as_str(), account, container, refusal.clone())
                .map(Some),
        };
        let store = store.map_err(|error| self.failure(&error, &refusal))?;
        Ok(store.map(|store| Opened { store, refusal }))
    }

    fn container(
        &self,
        endpoint: &str,
        account: &str,
        container: &str,
        refusal: Refusal,
    ) -> Result<Arc<dyn ObjectStore>, Error> {
        let tokens = StorageTokens::new(Arc::clone(&self.identity));
        let connector = Connector {
            http: Arc::clone(&self.http),
            tokens: Arc::clone(&tokens),
            refusal,
        };
        let store = MicrosoftAzureBuilder::new()
            .with_endpoint(endpoint.trim_end_matches('/').to_owned())
            .with_account(account)
            .with_container_name(container)
            .with_credentials(tokens)
            .with_http_connector(connector)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(400),
                    max_backoff: Duration::from_secs(8),
                    base: 2.0,
                },
                max_retries: 5,
                retry_timeout: RETRY_TIME,
            })
            .build()?;
        Ok(Arc::new(store))
    }

    fn failure(&self, error: &Error, refusal: &Refusal) -> Failure {
        let place = &self.place;
        if let Some(failure) = own_failure(error) {
            return failure.clone();
        }
        let cause = one_line(error);
        let failed = |kind, code, detail: String| Failure::new(kind, code, detail, &*cause);
        let failure = match Reason::of(error, refusal) {
            Reason::Unauthorized => failed(
                Kind::Unauthorized,
                Code::UpstreamUnauthorized,
                format!(
                    "storage refused the token for {place}; check that the account and the identity belong to the same tenant"
                ),
            ),
            Reason::Forbidden => failed(
                Kind::Forbidden,
                Code::StorageForbidden,
                format!(
                    "storage refuses {place}: give the identity the role Storage Blob Data Contributor on the container; \
                     a new assignment takes up to ten minutes, and the account's firewall has to let the app in"
                ),
            ),
            Reason::NoContainer => failed(
                Kind::Unusable,
                Code::StorageNoContainer,
                format!(
                    "the container {place} does not exist: create it, or correct `REPORTS_URL` and `REPORTS_LATEST_URL`"
                ),
            ),
            Reason::Immutable => failed(
                Kind::Unusable,
                Code::StorageUnusable,
                format!(
                    "{place} has an immutability policy, but the pointer to the newest report has to be replaced: name another container in `REPORTS_LATEST_URL`"
                ),
            ),
            Reason::Other if matches!(place, ReportLocation::Blob { .. }) => failed(
                Kind::Unavailable,
                Code::StorageUnavailable,
                format!("storage did not respond as documented: {place}; try again later"),
            ),
            Reason::Other => failed(
                Kind::Unusable,
                Code::StorageUnusable,
                format!("{place} cannot be used for reports: {cause}"),
            ),
        };
        Failure {
            status: refusal.status(),
            ..failure
        }
    }
}

/// The treatment of a directory that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// It is created.
    IsCreated,
    /// There is nothing to read.
    Stays,
}

/// Opens a directory; every write reaches the disk before it counts.
fn directory(path: &PathBuf, missing: Missing) -> Result<Option<Arc<dyn ObjectStore>>, Error> {
    let failed = |source: std::io::Error| Error::PermissionDenied {
        path: path.display().to_string(),
        source: source.into(),
    };
    if missing == Missing::IsCreated {
        fs::create_dir_all(path).map_err(failed)?;
    } else if !path.exists() {
        return Ok(None);
    }
    let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
    Ok(Some(Arc::new(store)))
}

/// The reason of a failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Unauthorized,
    Forbidden,
    NoContainer,
    Immutable,
    Other,
}

impl Reason {
    /// The reason that the service gives in its error code.
    fn of_refusal(refusal: &Refusal) -> Self {
        if refusal.is("ContainerNotFound") {
            Self::NoContainer
        } else if refusal.is("BlobImmutableDueToPolicy") {
            Self::Immutable
        } else {
            Self::Other
        }
    }

    /// The reason of an error. The kinds of the library do not distinguish a missing
    /// file from a missing container, and those of a list say nothing.
    fn of(error: &Error, refusal: &Refusal) -> Self {
        match (Self::of_refusal(refusal), error, refusal.status()) {
            (Self::Other, Error::Unauthenticated { .. }, _)
            | (Self::Other, Error::Generic { .. }, Some(401)) => Self::Unauthorized,
            (Self::Other, Error::PermissionDenied { .. }, _)
            | (Self::Other, Error::Generic { .. }, Some(403)) => Self::Forbidden,
            (reason, _, _) => reason,
        }
    }
}

fn unusable(detail: String, cause: String) -> Failure {
    Failure::new(Kind::Unusable, Code::StorageUnusable, detail, cause)
}

/// The failure that our own token or transport put into an error.
fn own_failure(error: &Error) -> Option<&Failure> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| {
        let error: &(dyn std::error::Error + 'static) = *error;
        error.source()
    })
    .find_map(|error| error.downcast_ref::<Failure>())
}

/// An error for the log: its first line, because the body of the response follows.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}
