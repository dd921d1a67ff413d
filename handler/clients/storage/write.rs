//! Writes files: new ones, and new versions of known ones.

use bytes::Bytes;
use object_store::{Attribute, Attributes, Error, ObjectStore, PutMode, PutOptions, path::Path};
use tokio::time::sleep;

use super::failure::{Reason, one_line, own_failure};
use super::open::Opened;
use super::{Created, Storage, Versioned};
use crate::{
    config::ReportLocation,
    outbound::{Failure, retry},
};

impl Storage {
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
        let options = self.options(content_type, PutMode::Create);
        let put = self.put(&opened, path, bytes, options);
        match self.in_time(put).await? {
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
        let options = self.options(content_type, mode);
        let put = self.put(&opened, path, bytes, options);
        match self.in_time(put).await? {
            Ok(()) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. })
                if Reason::of_refusal(&opened.refusal) == Reason::Other =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failure(&error, &opened.refusal)),
        }
    }

    fn options(&self, content_type: &'static str, mode: PutMode) -> PutOptions {
        let mut options = PutOptions::from(mode);
        if matches!(self.place, ReportLocation::Blob { .. }) {
            options.attributes = Attributes::from_iter([
                (Attribute::ContentType, content_type),
                (Attribute::CacheControl, "no-cache"),
            ]);
        }
        options
    }

    /// Writes a file, and writes it again if the response was lost.
    ///
    /// A file created twice is reported as already there, and the caller compares.
    async fn put(
        &self,
        opened: &Opened,
        path: &str,
        bytes: Bytes,
        options: PutOptions,
    ) -> Result<(), Error> {
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
}
