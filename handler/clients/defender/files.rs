//! `GET /api/files/{hash}`: what Defender knows of a file.
//!
//! Takes SHA-1 and SHA-256, needs the role `File.Read.All`, 100 calls a minute
//! and 1,500 an hour.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-file-information>

use std::sync::Arc;

use functions::hashes::{FileHash, FileProfile};
use tokio::time::Instant;

use super::{DefenderClient, DefenderError, Endpoint, Found};
use crate::config::Config;

/// A file entity has a kilobyte; far more is not one.
const MAX_BYTES: usize = 1 << 20;

/// The Files API.
#[derive(Debug)]
pub struct FilesClient {
    defender: Arc<DefenderClient>,
    file: Endpoint,
}

impl FilesClient {
    /// The Files API of a tenant.
    pub fn new(config: &Config, defender: Arc<DefenderClient>) -> Self {
        Self {
            defender,
            file: Endpoint::new("the Files API", "File.Read.All", config),
        }
    }

    /// The profile of a file, `None` when Microsoft has never seen it.
    ///
    /// # Errors
    /// [`DefenderError`]; also when the answer is about another file.
    pub async fn profile(
        &self,
        hash: FileHash,
        deadline: Instant,
    ) -> Result<Option<FileProfile>, DefenderError> {
        match self
            .defender
            .get(
                &self.file,
                &["files", &hash.to_string()],
                MAX_BYTES,
                deadline,
            )
            .await?
        {
            Found::No => Ok(None),
            Found::Yes(answer) => FileProfile::read(&answer, hash)
                .map(Some)
                .map_err(|error| DefenderError::unusable_answer(&error.to_string())),
        }
    }
}
