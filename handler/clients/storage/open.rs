//! Opens a directory or a container.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, Error, ObjectStore, RetryConfig, azure::MicrosoftAzureBuilder,
    local::LocalFileSystem,
};
use tokio::time::timeout;

use super::Storage;
use super::azure::{Connector, Refusal, StorageTokens};
use super::failure::unusable;
use crate::{
    config::ReportLocation,
    outbound::{Code, Failure, Kind},
};

/// Longest time for one operation, with all its tries.
const OPERATION_TIME: Duration = Duration::from_secs(60);

/// Longest time in which a failed call is tried again.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// An opened store, and the last refusal of the service behind it.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) refusal: Refusal,
}

impl Storage {
    /// The result of an operation, retries included, if it ends in time.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        timeout(OPERATION_TIME, work).await.map_err(|_| {
            let detail = format!(
                "storage did not respond in time: {}; try again later",
                self.place
            );
            Failure::new(
                Kind::TimedOut,
                Code::StorageUnavailable,
                detail,
                "no response in time",
            )
        })
    }

    pub(super) fn open_for_writing(&self) -> Result<Opened, Failure> {
        let opened = self.open(Missing::IsCreated)?;
        opened.ok_or_else(|| unusable(format!("{} cannot be created", self.place), "open".into()))
    }

    /// The store; `None` when it is a directory that does not exist.
    pub(super) fn open(&self, missing: Missing) -> Result<Option<Opened>, Failure> {
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

    pub(super) fn container(
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
}

/// The treatment of a directory that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
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
