//! Copies of workbooks that were seen complete, in storage.

use std::collections::BTreeMap;

use functions::{coverage::workbook::canonical, report::run::JSON};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::WorkbookKeeper;
use crate::{outbound::Failure, services::reports::sha256};

/// Folder of the copies that were seen complete.
const COPIES: &str = "history/workbooks";

/// End of the name of the file that says that a missing copy was reported.
///
/// It sorts after the name of the copy, which may be from the same second.
pub(super) const GONE: &str = "_gone.json";

/// A copy that was seen complete, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) display_name: String,
    revision: String,
    time_modified: String,
    /// SHA-256 of the content without what changes by itself.
    pub(super) sha256: String,
    serialized_data: String,
}

impl Kept {
    /// The path of a file of this revision. A workbook that returns to an earlier content
    /// has another revision.
    pub(super) fn path(&self, ending: &str) -> String {
        let revision = match name_of(&self.revision) {
            revision if revision.is_empty() => self.sha256.clone(),
            revision => revision,
        };
        format!("{COPIES}/{}/{revision}{ending}", name_of(&self.id))
    }
}

impl WorkbookKeeper {
    /// The newest kept copy of each workbook, by name, without those that were
    /// reported as missing since.
    pub(super) async fn kept(&self) -> Result<BTreeMap<String, Kept>, Failure> {
        let mut files = self.copies.list(COPIES).await?;
        files.sort_by(|one, other| (one.modified, &one.path).cmp(&(other.modified, &other.path)));
        let newest: BTreeMap<String, String> = files
            .into_iter()
            .filter_map(|file| {
                let name = file.path.strip_prefix(COPIES)?.trim_start_matches('/');
                Some((name.split('/').next()?.to_owned(), file.path))
            })
            .collect();
        let mut kept = BTreeMap::new();
        let is_there = |(_, path): &(String, String)| !path.ends_with(GONE);
        for (name, path) in newest.into_iter().filter(is_there) {
            let file = self.copies.read(&path).await?;
            if let Some(copy) = file.and_then(|file| serde_json::from_slice(&file.bytes).ok()) {
                kept.insert(name, copy);
            }
        }
        Ok(kept)
    }

    /// Keeps a copy that was seen complete, once for each revision.
    pub(super) async fn keep(
        &self,
        id: &str,
        properties: &Value,
        before: Option<&Kept>,
    ) -> Result<(), Failure> {
        let of = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
        let content = of("serializedData");
        let kept = Kept {
            id: id.to_owned(),
            display_name: of("displayName"),
            revision: of("revision"),
            time_modified: of("timeModified"),
            sha256: fingerprint(&content),
            serialized_data: content,
        };
        if before.is_some_and(|before| before.sha256 == kept.sha256) {
            return Ok(());
        }
        let path = kept.path(".json");
        let text = serde_json::to_string_pretty(&kept).unwrap_or_default() + "\n";
        self.copies.create(&path, JSON, text.into()).await?;
        Ok(())
    }
}

/// The last segment of an id, as a file name: workbooks are named by GUIDs.
pub(super) fn name_of(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or_default();
    let plain = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    plain.collect::<String>().to_ascii_lowercase()
}

pub(super) fn fingerprint(content: &str) -> String {
    let text = canonical(content).unwrap_or_else(|| content.to_owned());
    sha256(text.as_bytes())
}
