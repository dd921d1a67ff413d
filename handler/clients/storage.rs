//! Files in a directory or in Blob storage, through one interface.
//!
//! Nothing is overwritten but a pointer, and that only by who knows what it
//! replaces. Sources: <https://docs.rs/object_store>,
//! <https://learn.microsoft.com/rest/api/storageservices/put-blob>

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, CredentialProvider, Error, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, RetryConfig, UpdateVersion,
    azure::{AzureCredential, MicrosoftAzureBuilder},
    client::{HttpClient as StoreHttp, HttpConnector},
    local::LocalFileSystem,
    path::Path,
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use crate::{config::Place, http::HttpClient, identity::Identity, retry};

/// Audience of Blob storage, the same in every cloud.
pub const STORAGE_AUDIENCE: &str = "https://storage.azure.com";

/// Longest wait for a token.
const TOKEN_TIME: Duration = Duration::from_secs(20);

/// Longest time in which a failed call is tried again.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// Why storage did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct StorageError {
    /// Stable code: `storage_forbidden`, `storage_no_container`,
    /// `storage_unavailable` (a retry may help) or `storage_unusable`.
    pub code: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// More for the log.
    pub cause: String,
}

/// Whether a file that is created was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was not.
    New,
    /// It was, and stays as it was.
    Before,
}

/// A file with what has to be named to replace it.
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
    place: Place,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

type Store = Arc<dyn ObjectStore>;

impl Storage {
    /// The storage at a place; touches nothing yet.
    pub fn new(place: Place, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        Self {
            place,
            http,
            identity,
        }
    }

    /// The place, for messages.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Creates a file, unless it is there.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn create(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
    ) -> Result<Created, StorageError> {
        match self.put(path, content_type, bytes, PutMode::Create).await {
            Ok(()) => Ok(Created::New),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::Before),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Writes a file in place of the version that was read, or of none. False
    /// when somebody else was faster. A directory knows no versions: there the
    /// last one wins.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn replace(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
        before: Option<Versioned>,
    ) -> Result<bool, StorageError> {
        let mode = match (&self.place, before) {
            (_, None) => PutMode::Create,
            (Place::Directory(_), Some(_)) => PutMode::Overwrite,
            (Place::Blob { .. }, Some(before)) => PutMode::Update(before.version),
        };
        match self.put(path, content_type, bytes, mode).await {
            Ok(()) => Ok(true),
            Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. }))
                if kind(&error) == Kind::Other =>
            {
                Ok(false)
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    /// A file; `None` when it is not there.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn read(&self, path: &str) -> Result<Option<Versioned>, StorageError> {
        let Some(store) = self.open(false)? else {
            return Ok(None);
        };
        let read = async {
            let found = store.get(&Path::from(path)).await?;
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            let bytes = found.bytes().await?;
            Ok(Versioned { bytes, version })
        };
        match read.await {
            Ok(file) => Ok(Some(file)),
            Err(error @ Error::NotFound { .. }) if kind(&error) == Kind::Other => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Whether a file is there.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn has(&self, path: &str) -> Result<bool, StorageError> {
        let Some(store) = self.open(false)? else {
            return Ok(false);
        };
        match store.head(&Path::from(path)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// The files below a folder, in the order of their paths.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, StorageError> {
        let Some(store) = self.open(false)? else {
            return Ok(Vec::new());
        };
        let found: Result<Vec<_>, Error> =
            store.list(Some(&Path::from(folder))).try_collect().await;
        let found = found.map_err(|error| self.error(&error))?;
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

    /// Tries a write again whose answer was lost: what is created twice with
    /// the same name is told as there before, and the caller compares.
    async fn put(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Bytes,
        mode: PutMode,
    ) -> Result<(), Error> {
        let store = self
            .open(true)
            .map_err(|error| Error::Generic {
                store: "storage",
                source: error.into(),
            })?
            .ok_or(Error::NotImplemented {
                operation: "open".into(),
                implementer: "storage".into(),
            })?;
        let mut options = PutOptions::from(mode);
        if matches!(self.place, Place::Blob { .. }) {
            options.attributes = Attributes::from_iter([
                (Attribute::ContentType, content_type),
                (Attribute::CacheControl, "no-cache"),
            ]);
        }
        let (at, mut tries) = (Path::from(path), 0);
        loop {
            let put = store.put_opts(&at, bytes.clone().into(), options.clone());
            match put.await {
                Ok(_) => return Ok(()),
                Err(error @ Error::Generic { .. }) if tries < retry::MAX_RETRIES => {
                    tracing::warn!(code = "storage_retry", path, cause = %one_line(&error), "a write failed");
                    sleep(retry::delay(tries, None, fastrand::f64())).await;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The store; `None` when it is a directory that is not there and is not
    /// to be made.
    fn open(&self, make: bool) -> Result<Option<Store>, StorageError> {
        match &self.place {
            Place::Directory(path) => directory(path, make).map_err(|error| self.error(&error)),
            Place::Blob {
                endpoint,
                account,
                container,
            } => {
                let connector = Connector(Arc::clone(&self.http));
                let store = MicrosoftAzureBuilder::new()
                    .with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned())
                    .with_account(account)
                    .with_container_name(container)
                    .with_credentials(Arc::new(Credentials(Arc::clone(&self.identity))))
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
                    .build()
                    .map_err(|error| self.error(&error))?;
                Ok(Some(Arc::new(store)))
            }
        }
    }

    fn error(&self, error: &Error) -> StorageError {
        let place = &self.place;
        if let Error::Generic { source, .. } = error
            && let Some(error) = source.downcast_ref::<StorageError>()
        {
            return error.clone();
        }
        let (code, detail) = match kind(error) {
            Kind::Forbidden => (
                "storage_forbidden",
                format!(
                    "storage refuses {place}: give the identity the role Storage Blob Data Contributor on the container; \
                     a new assignment takes up to ten minutes, and the account's firewall has to let the app in"
                ),
            ),
            Kind::NoContainer => (
                "storage_no_container",
                format!(
                    "the container {place} is not there: create it, or mend `REPORTS_URL` and `REPORTS_LATEST_URL`"
                ),
            ),
            Kind::Immutable => (
                "storage_unusable",
                format!(
                    "{place} has an immutability policy, but the pointer to the newest report has to be replaced: name another container in `REPORTS_LATEST_URL`"
                ),
            ),
            Kind::Other if matches!(place, Place::Blob { .. }) => (
                "storage_unavailable",
                format!("storage did not answer as it should: {place}; try again later"),
            ),
            Kind::Other => (
                "storage_unusable",
                format!("{place} cannot be used for reports: {}", one_line(error)),
            ),
        };
        StorageError {
            code,
            detail,
            cause: one_line(error),
        }
    }
}

/// Opens a directory; every write reaches the disk before it counts.
fn directory(path: &PathBuf, make: bool) -> Result<Option<Store>, Error> {
    let failed = |source: std::io::Error| Error::PermissionDenied {
        path: path.display().to_string(),
        source: source.into(),
    };
    if make {
        fs::create_dir_all(path).map_err(failed)?;
    } else if !path.exists() {
        return Ok(None);
    }
    let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
    Ok(Some(Arc::new(store)))
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Forbidden,
    NoContainer,
    Immutable,
    Other,
}

/// Reads an error. The library's kinds tell a missing file and a missing
/// container alike, and those of a list nothing at all: the service's code does.
fn kind(error: &Error) -> Kind {
    let text = error.to_string();
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    match error {
        _ if has(&["ContainerNotFound", "specified container does not exist"]) => Kind::NoContainer,
        _ if has(&["BlobImmutableDueToPolicy"]) => Kind::Immutable,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Kind::Forbidden,
        Error::Generic { .. } if has(&["403 Forbidden", "401 Unauthorized"]) => Kind::Forbidden,
        _ => Kind::Other,
    }
}

/// An error for the log: its first line, because the service's answer follows.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

/// Hands the tokens of the process to the store.
#[derive(Debug)]
struct Credentials(Arc<Identity>);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let token = self
            .0
            .token(STORAGE_AUDIENCE, Instant::now() + TOKEN_TIME)
            .await;
        let token = token.map_err(|error| Error::Generic {
            store: "identity",
            source: StorageError {
                code: "identity_unavailable",
                detail: error.detail,
                cause: error.cause,
            }
            .into(),
        })?;
        Ok(Arc::new(AzureCredential::BearerToken(
            token.secret().to_owned(),
        )))
    }
}

/// Lets the store use the client of the process.
#[derive(Debug)]
struct Connector(Arc<HttpClient>);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<StoreHttp> {
        let client = self.0.for_files().map_err(|error| Error::Generic {
            store: "client",
            source: error.into(),
        })?;
        Ok(StoreHttp::new(client))
    }
}
