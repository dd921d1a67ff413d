//! Places of reports: what they keep and what they refuse.

use functions::{
    health::{Check, CheckState, quoted},
    report::run::JSON,
};

use crate::services::doctor::Look;
use crate::{
    clients::storage::{Created, Storage},
    config::ReportLocation,
    outbound::{Code, Failure},
    services::now,
};

/// Tries at it: another look may replace it at the same time.
const MAX_MOVES: usize = 4;

/// The content of the files that show that a place can be written.
const PROBE_TEXT: &[u8] = b"{\"writtenBy\":\"doctor\"}\n";

/// File that shows that a file can be replaced by its version, as the pointer to
/// the newest report is.
const POINTER: &str = "doctor/pointer.json";

impl Look<'_> {
    /// Writes a file, and checks that no one can overwrite it unnoticed; where the
    /// pointer is stored, also that a file can be replaced by its version.
    pub(super) async fn place(&self, id: &str, title: &str, place: &ReportLocation) -> Check {
        let line = |state, detail| Check::new(id, title, state, detail);
        let storage = self.doctor.storage(place);
        let has_pointer = *place == self.doctor.config.reports.latest;
        let probe = async {
            let kept = keeps_what_is_there(&storage).await?;
            let moved = !kept || !has_pointer || replaces_by_version(&storage).await?;
            Ok((kept, moved))
        };
        match tokio::time::timeout_at(self.deadline, probe).await {
            Ok(Ok((true, true))) => line(
                CheckState::Ok,
                format!("{place} takes files, and none over another one"),
            ),
            Ok(Ok((true, false))) => line(
                CheckState::Missing,
                format!("{place} keeps every file as it is, so the pointer to the newest report cannot move"),
            )
            .fix("name a container without an immutability policy in REPORTS_LATEST_URL"),
            Ok(Ok((false, _))) => line(
                CheckState::Unreachable,
                format!(
                    "{place} does not give back what was written, or took a file over another one: reports would not be safe there"
                ),
            ),
            Ok(Err(error)) => self.storage_failed(&line, place, &error),
            Err(_) => line(
                CheckState::Unreachable,
                format!("{place} did not answer in time"),
            ),
        }
    }

    pub(super) fn storage_failed(
        &self,
        line: &dyn Fn(CheckState, String) -> Check,
        place: &ReportLocation,
        error: &Failure,
    ) -> Check {
        let detail = error.detail.clone();
        let ReportLocation::Blob {
            account, container, ..
        } = place
        else {
            return line(CheckState::Missing, detail)
                .fix("make the directory writable, or name another one");
        };
        match error.code {
            Code::StorageForbidden => {
                let (account, container) = (quoted(account), quoted(container));
                let scope = format!(
                    "\"$(az storage account show --name {account} --query id --output tsv)/blobServices/default/containers/{container}\""
                );
                line(CheckState::Missing, detail).fix(
                    self.grantee
                        .azure_role("Storage Blob Data Contributor", &scope),
                )
            }
            Code::StorageNoContainer => line(CheckState::Missing, detail).fix(format!(
                "az storage container create --auth-mode login --account-name {} --name {}",
                quoted(account),
                quoted(container)
            )),
            _ => line(
                CheckState::Unreachable,
                format!("{detail}; {}", error.cause),
            ),
        }
    }
}

/// Returns true if a place keeps existing files.
///
/// The second write must find the file of the first one, with the same content.
/// There is one file a day, so that a new name is tried.
async fn keeps_what_is_there(storage: &Storage) -> Result<bool, Failure> {
    let today = now();
    let day = today.split('T').next().unwrap_or_default();
    let path = format!("doctor/probe-{day}.json");
    storage.create(&path, JSON, PROBE_TEXT.into()).await?;
    let again = storage.create(&path, JSON, PROBE_TEXT.into()).await?;
    let found = storage.read(&path).await?;
    let is_it = found.is_some_and(|file| file.bytes == PROBE_TEXT);
    Ok(again == Created::AlreadyThere && is_it)
}

/// Returns true if a file can be replaced by its version.
async fn replaces_by_version(storage: &Storage) -> Result<bool, Failure> {
    for _ in 0..MAX_MOVES {
        let before = storage.read(POINTER).await?;
        let was_there = before.is_some();
        let moved = storage.replace(POINTER, JSON, PROBE_TEXT.into(), before);
        match moved.await {
            Ok(true) if was_there => return Ok(true),
            Ok(_) => {}
            // A policy keeps what is there.
            Err(error) if error.code == Code::StorageUnusable => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
