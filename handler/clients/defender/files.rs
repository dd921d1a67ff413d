//! `GET /api/files/{hash}`: the facts of Defender about a file, and below it those of the
//! tenant: `stats`, `alerts`, `machines`, by SHA-1 only.
//!
//! Takes SHA-1 and SHA-256, needs the role `File.Read.All`, 100 calls a minute
//! and 1,500 an hour.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-file-information>

use std::{sync::Arc, time::Duration};

use functions::hashes::{
    FileHash, FileProfile, UnusableProfile,
    evidence::{Alert, Device, FileStats, Listed, read_list},
};
use tokio::time::Instant;

use super::{DefenderClient, DefenderEndpoint, Found, unusable_answer};
use crate::{
    config::Config,
    outbound::{Failure, Request},
};

/// Largest file entity; real ones have about a kilobyte.
const MAX_BYTES: usize = 1 << 20;

/// Largest list of alerts or devices.
const MAX_LIST_BYTES: usize = 8 << 20;

/// The Files API.
#[derive(Debug)]
pub struct FilesClient {
    defender: Arc<DefenderClient>,
    file: DefenderEndpoint,
    stats: DefenderEndpoint,
    alerts: DefenderEndpoint,
    machines: DefenderEndpoint,
}

impl FilesClient {
    /// The Files API of a tenant.
    pub fn new(config: &Config, defender: Arc<DefenderClient>) -> Self {
        Self {
            defender,
            file: DefenderEndpoint::new("the Files API", "File.Read.All", config),
            stats: DefenderEndpoint::new("file statistics", "File.Read.All", config),
            alerts: DefenderEndpoint::new("the alerts of a file", "Alert.Read.All", config),
            machines: DefenderEndpoint::new("the devices of a file", "Machine.Read.All", config),
        }
    }

    /// The time until the limit allows the next call for a profile; `None` if it is allowed
    /// now.
    pub fn wait(&self) -> Option<Duration> {
        self.file.wait()
    }

    /// The profile of a file, `None` when Microsoft has never seen it.
    ///
    /// # Errors
    /// [`Failure`]; also when the answer is about another file.
    pub async fn profile(
        &self,
        hash: FileHash,
        deadline: Instant,
    ) -> Result<Option<FileProfile>, Failure> {
        let url = self.defender.url(&["files", &hash.to_string()], None);
        let request = Request::get(url, MAX_BYTES);
        let sent = Instant::now();
        let mut found = self.ask(&request, hash, deadline).await?;
        match found {
            Err(UnusableProfile::AnotherFile) => self.defender.note_mixed_up(),
            // Another call found out meanwhile.
            Ok(None) if self.mixed_up_since(sent) => {}
            _ => return found.map_err(|error| unusable_answer(&error.to_string())),
        }
        found = self.ask(&request, hash, deadline).await?;
        found.map_err(|error| unusable_answer(&error.to_string()))
    }

    async fn ask(
        &self,
        request: &Request,
        hash: FileHash,
        deadline: Instant,
    ) -> Result<Result<Option<FileProfile>, UnusableProfile>, Failure> {
        let found = self.defender.call(&self.file, request, deadline).await?;
        Ok(match found {
            Found::No => Ok(None),
            Found::Yes(answer) => FileProfile::read(&answer, hash).map(Some),
        })
    }

    /// Returns true if a response since `instant` was about another file than was asked for.
    pub fn mixed_up_since(&self, instant: Instant) -> bool {
        self.defender.mixed_up_since(instant)
    }

    /// How often the tenant saw a file in the last 30 days; none at all when
    /// Defender does not know it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn stats(&self, sha1: FileHash, deadline: Instant) -> Result<FileStats, Failure> {
        let none = FileStats {
            organization_prevalence: Some(0),
            ..FileStats::default()
        };
        let part = Part {
            endpoint: &self.stats,
            name: "stats",
            none,
            read: FileStats::read,
        };
        self.part(part, sha1, deadline).await
    }

    /// The alerts of the tenant that involve a file.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn alerts(
        &self,
        sha1: FileHash,
        deadline: Instant,
    ) -> Result<Listed<Alert>, Failure> {
        let part = Part {
            endpoint: &self.alerts,
            name: "alerts",
            none: Listed::new(Vec::new()),
            read: read_list,
        };
        self.part(part, sha1, deadline).await
    }

    /// The devices of the tenant that saw a file.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn devices(
        &self,
        sha1: FileHash,
        deadline: Instant,
    ) -> Result<Listed<Device>, Failure> {
        let part = Part {
            endpoint: &self.machines,
            name: "machines",
            none: Listed::new(Vec::new()),
            read: read_list,
        };
        self.part(part, sha1, deadline).await
    }

    /// `GET /api/files/{sha1}/{name}`.
    async fn part<T>(
        &self,
        part: Part<'_, T>,
        sha1: FileHash,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let path = ["files", &sha1.to_string(), part.name];
        let request = Request::get(self.defender.url(&path, None), MAX_LIST_BYTES);
        let found = self.defender.call(part.endpoint, &request, deadline);
        match found.await? {
            Found::No => Ok(part.none),
            Found::Yes(answer) => {
                (part.read)(&answer).map_err(|_| unusable_answer("the evidence has another shape"))
            }
        }
    }
}

/// A part of what Defender knows about a file.
struct Part<'a, T> {
    endpoint: &'a DefenderEndpoint,
    /// The last segment of its path.
    name: &'static str,
    /// The value if Defender does not know the file.
    none: T,
    read: fn(&[u8]) -> Result<T, serde_json::Error>,
}
