//! Keeps the AI column in saved copies of Microsoft's Coverage workbook.
//!
//! It only reports, unless `WORKBOOK_REPAIR` is on. A copy is read again right
//! before it is written, and not touched when it changed in the meantime; Azure
//! keeps every revision. A copy that was seen complete is kept in storage.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use functions::{
    coverage::{
        WORKBOOKS,
        workbook::{
            Drift, Edited, Inspection, Patch, PatchState, SavedWorkbook, canonical,
            note_duplicates, patch,
        },
    },
    query::Record,
    report::run::JSON,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    clients::{
        resource_graph::ResourceGraphClient,
        resource_manager::{ResourceManagerClient, workbook_changed},
        storage::Storage,
    },
    config::Config,
    outbound::{Failure, HttpClient, Identity, Kind},
    services::reports::sha256,
};

/// Folder of the copies that were seen complete.
const COPIES: &str = "history/workbooks";

/// End of the name of the file that says that a missing copy was reported.
///
/// It sorts after the name of the copy, which may be from the same second.
const GONE: &str = "_gone.json";

/// A copy that was seen complete, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    id: String,
    display_name: String,
    revision: String,
    time_modified: String,
    /// SHA-256 of the content without what changes by itself.
    sha256: String,
    serialized_data: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    id: String,
    display_name: String,
}

impl Record for Row {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Inspects and repairs saved Coverage workbooks.
#[derive(Debug)]
pub struct WorkbookKeeper {
    graph: Arc<ResourceGraphClient>,
    manager: Arc<ResourceManagerClient>,
    copies: Storage,
    repair: bool,
}

impl Kept {
    /// The path of a file of this revision. A workbook that returns to an earlier content
    /// has another revision.
    fn path(&self, ending: &str) -> String {
        let revision = match name_of(&self.revision) {
            revision if revision.is_empty() => self.sha256.clone(),
            revision => revision,
        };
        format!("{COPIES}/{}/{revision}{ending}", name_of(&self.id))
    }
}

impl WorkbookKeeper {
    /// The keeper of the settings.
    pub fn new(
        config: &Config,
        graph: Arc<ResourceGraphClient>,
        manager: Arc<ResourceManagerClient>,
        http: Arc<HttpClient>,
        identity: Arc<Identity>,
    ) -> Arc<Self> {
        Arc::new(Self {
            graph,
            manager,
            copies: Storage::new(config.reports.location.clone(), http, identity),
            repair: config.coverage.workbook_repair,
        })
    }

    /// Ids of the saved copies, and why they may not be all.
    pub async fn found(&self, deadline: Instant) -> (Vec<String>, Vec<String>) {
        let found = self.graph.read::<Row>(WORKBOOKS, deadline).await;
        let ids = found.rows.into_iter().map(|row| row.id);
        (ids.collect(), found.gaps)
    }

    /// Returns true if patched copies are written.
    pub fn repairs(&self) -> bool {
        self.repair
    }

    /// Inspects every saved copy, and repairs it if repair is on.
    ///
    /// # Errors
    /// [`Failure`] when the kept copies cannot be read.
    pub async fn inspect(&self, time: Duration) -> Result<Inspection, Failure> {
        let deadline = Instant::now() + time;
        let found = self.graph.read::<Row>(WORKBOOKS, deadline).await;
        let mut inspection = Inspection {
            repair: self.repair,
            reasons: found.gaps,
            ..Inspection::default()
        };
        let mut kept = self.kept().await?;
        for row in found.rows {
            let before = kept.remove(&name_of(&row.id));
            let copy = self.copy(&row, before.as_ref(), deadline).await?;
            if copy.drift.is_empty() {
                inspection
                    .reasons
                    .push(format!("{}: {}", copy.id, copy.problem));
            }
            inspection.copies.push(copy);
        }
        // A workbook that is not in an incomplete list may still exist.
        if inspection.reasons.is_empty() {
            for gone in kept.into_values() {
                inspection.copies.extend(self.gone(gone, deadline).await?);
            }
        }
        note_duplicates(&mut inspection.copies);
        inspection
            .copies
            .sort_by(|one, other| one.id.cmp(&other.id));
        log(&inspection);
        Ok(inspection)
    }

    /// The newest kept copy of each workbook, by name, without those that were
    /// reported as missing since.
    async fn kept(&self) -> Result<BTreeMap<String, Kept>, Failure> {
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

    /// A kept workbook that no list has, if Resource Manager confirms that it is gone.
    ///
    /// It is reported only once: someone may have deleted it on purpose.
    async fn gone(&self, kept: Kept, deadline: Instant) -> Result<Option<SavedWorkbook>, Failure> {
        if self.manager.is_workbook_gone(&kept.id, deadline).await != Ok(true) {
            return Ok(None);
        }
        let text = json!({ "id": kept.id, "displayName": kept.display_name }).to_string() + "\n";
        let path = kept.path(GONE);
        self.copies.create(&path, JSON, text.into()).await?;
        Ok(Some(SavedWorkbook {
            drift: vec![Drift::Missing],
            ..SavedWorkbook::new(&kept.id, &kept.display_name)
        }))
    }

    async fn copy(
        &self,
        row: &Row,
        before: Option<&Kept>,
        deadline: Instant,
    ) -> Result<SavedWorkbook, Failure> {
        let mut copy = SavedWorkbook::new(&row.id, &row.display_name);
        let properties = match self.manager.workbook(&row.id, deadline).await {
            Ok(properties) => properties,
            Err(problem) => {
                copy.problem = problem.detail;
                return Ok(copy);
            }
        };
        let content = properties["serializedData"].as_str().unwrap_or_default();
        let mut patched = patch(content);
        if before.is_some() && patched.is_look_only {
            // It was seen complete: a person removed the color or the label.
            patched = Patch::complete(content);
        }
        let edited = match before {
            Some(kept) if kept.sha256 != fingerprint(content) => Edited::SinceKept,
            _ => Edited::No,
        };
        copy.drift = vec![(patched.coverage, edited).into()];
        copy.edits.clone_from(&patched.edits);
        copy.problem.clone_from(&patched.problem);
        match patched.coverage {
            PatchState::Patched => self.keep(&row.id, &properties, before).await?,
            PatchState::Unpatched | PatchState::PartlyPatched if self.repair => {
                match self.repair(&row.id, &properties, &patched, deadline).await {
                    Ok(written) => {
                        copy.repaired = true;
                        self.keep(&row.id, &written, before).await?;
                    }
                    Err(problem) => copy.problem = problem.detail,
                }
            }
            _ => {}
        }
        Ok(copy)
    }

    /// Writes a patch, unless the copy was changed since it was read, and checks that it
    /// has the patch; the properties then.
    async fn repair(
        &self,
        id: &str,
        before: &Value,
        patched: &Patch,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let now = self.manager.workbook(id, deadline).await?;
        if now["revision"] != before["revision"]
            || now["serializedData"] != before["serializedData"]
        {
            return Err(workbook_changed(
                "it was changed at this moment; the next run looks again",
            ));
        }
        let written = self
            .manager
            .write_workbook(id, &patched.content, deadline)
            .await;
        written.inspect_err(|failure| {
            if failure.kind == Kind::Forbidden {
                let code = failure.code.as_str();
                tracing::warn!(code, id, "a workbook may not be written");
            }
        })?;
        let written = self.manager.workbook(id, deadline).await?;
        let content = written["serializedData"].as_str().unwrap_or_default();
        if patch(content).coverage == PatchState::Patched {
            Ok(written)
        } else {
            Err(workbook_changed(
                "it was written, but does not have what was written",
            ))
        }
    }

    /// Keeps a copy that was seen complete, once for each revision.
    async fn keep(
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
fn name_of(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or_default();
    let plain = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    plain.collect::<String>().to_ascii_lowercase()
}

fn fingerprint(content: &str) -> String {
    let text = canonical(content).unwrap_or_else(|| content.to_owned());
    sha256(text.as_bytes())
}

fn log(inspection: &Inspection) {
    for copy in &inspection.copies {
        let drift: Vec<&str> = copy.drift.iter().map(|drift| drift.as_str()).collect();
        let (id, drift, problem) = (&copy.id, drift.join(" "), &copy.problem);
        let (repaired, edits) = (copy.repaired, copy.edits.len());
        if copy.needs_work() || !problem.is_empty() {
            tracing::warn!(
                code = "workbook_drift",
                id,
                drift,
                edits,
                problem,
                "a saved Coverage workbook needs work"
            );
        } else {
            tracing::info!(
                code = "workbook",
                id,
                drift,
                edits,
                repaired,
                "looked at a saved Coverage workbook"
            );
        }
    }
}
