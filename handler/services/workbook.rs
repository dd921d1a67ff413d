//! Keeps the AI column in saved copies of Microsoft's Coverage workbook.
//!
//! It only reports, unless `WORKBOOK_REPAIR` is on. A copy is read again right
//! before it is written, and not touched when it changed in the meantime; Azure
//! keeps every revision. A copy that was seen complete is kept in storage.
//! Source: <https://learn.microsoft.com/rest/api/application-insights/workbooks>

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use functions::{
    coverage::{
        WORKBOOKS,
        workbook::{Patch, PatchState, canonical, patch},
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
        resource_manager::{Resource, ResourceManagerClient},
        storage::Storage,
    },
    config::Config,
    outbound::{Code, Failure, HttpClient, Identity, Kind},
    services::reports::sha256,
};

/// Folder of the copies that were seen complete.
const COPIES: &str = "history/workbooks";

/// End of the name of the file that says that a missing copy was reported.
///
/// It sorts after the name of the copy, which may be from the same second.
const GONE: &str = "_gone.json";

const VERSION: (&str, &str) = ("api-version", "2023-06-01");

/// How a saved copy differs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Drift {
    /// It was seen before and no longer exists.
    Missing,
    /// It looks like the Coverage workbook by name, not by content.
    NotCoverage,
    /// The AI plan is not in it.
    Unpatched,
    /// Part of the AI plan is missing.
    PartlyPatched,
    /// It is as it should be.
    Patched,
    /// Defender for AI is in it, and it was edited since it was kept.
    PatchedButEdited,
    /// There is another copy; in addition to another state.
    Duplicate,
}

impl Drift {
    /// Its name in tables and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::NotCoverage => "NotCoverage",
            Self::Unpatched => "Unpatched",
            Self::PartlyPatched => "PartlyPatched",
            Self::Patched => "Patched",
            Self::PatchedButEdited => "PatchedButEdited",
            Self::Duplicate => "Duplicate",
        }
    }
}

/// A saved copy, and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedWorkbook {
    /// Resource id.
    pub id: String,
    /// Its display name, which anyone can choose.
    pub display_name: String,
    /// Its states; `Duplicate` in addition to another one.
    pub drift: Vec<Drift>,
    /// The edits that are missing, or were made.
    pub edits: Vec<String>,
    /// True if the edits were written.
    pub repaired: bool,
    /// Why it was not read or written, or cannot be; empty for nothing.
    pub problem: String,
}

impl SavedWorkbook {
    fn new(id: &str, display_name: &str) -> Self {
        Self {
            id: id.to_owned(),
            display_name: display_name.to_owned(),
            drift: Vec::new(),
            edits: Vec::new(),
            repaired: false,
            problem: String::new(),
        }
    }

    /// Returns true if a person has to act.
    pub fn needs_work(&self) -> bool {
        let bad = [Drift::Missing, Drift::Unpatched, Drift::PartlyPatched];
        let is_stuck = !self.problem.is_empty() && self.drift.contains(&Drift::NotCoverage);
        !self.repaired && (is_stuck || self.drift.iter().any(|drift| bad.contains(drift)))
    }
}

/// All saved copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// By id.
    pub copies: Vec<SavedWorkbook>,
    /// True if repair is on.
    pub repair: bool,
    /// Why not everything could be looked at, a sentence each.
    pub reasons: Vec<String>,
}

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
        let found = self.manager.get(&kept.id, &[VERSION], deadline).await;
        if found != Ok(Resource::NotFound) {
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
        let properties = match self.read(&row.id, deadline).await {
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
            patched = Patch::whole(content);
        }
        let edited = before.is_some_and(|kept| kept.sha256 != fingerprint(content));
        copy.drift = vec![match patched.coverage {
            PatchState::NotCoverage => Drift::NotCoverage,
            PatchState::Unpatched => Drift::Unpatched,
            PatchState::PartlyPatched => Drift::PartlyPatched,
            PatchState::Patched if edited => Drift::PatchedButEdited,
            PatchState::Patched => Drift::Patched,
        }];
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

    /// The properties of a workbook with its content.
    async fn read(&self, id: &str, deadline: Instant) -> Result<Value, Failure> {
        let query = [VERSION, ("canFetchContent", "true")];
        let properties = match self.manager.get(id, &query, deadline).await {
            Ok(Resource::Found(mut workbook)) => workbook["properties"].take(),
            Ok(Resource::NotFound) => return Err(changed("it was just deleted")),
            Ok(Resource::Refused | Resource::Elsewhere) => {
                return Err(Failure::new(
                    Kind::Forbidden,
                    Code::MissingPermission,
                    "the identity may not read it: grant it Reader on its resource group",
                    id,
                ));
            }
            Err(failure) => return Err(failure),
        };
        if !properties["storageUri"].is_null() {
            let detail =
                "its content is stored in a storage account of its own, which is not touched";
            return Err(Failure::new(
                Kind::Unusable,
                Code::WorkbookUnusable,
                detail,
                id,
            ));
        }
        if properties["serializedData"].is_string() {
            Ok(properties)
        } else {
            Err(changed("the response does not have its content"))
        }
    }

    /// Writes a patch, unless the copy was changed since it was read.
    ///
    /// Checks that the patch is there, and returns the properties.
    async fn repair(
        &self,
        id: &str,
        before: &Value,
        patched: &Patch,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let now = self.read(id, deadline).await?;
        if now["revision"] != before["revision"]
            || now["serializedData"] != before["serializedData"]
        {
            return Err(changed(
                "it was changed at this moment; the next run looks again",
            ));
        }
        let body = json!({ "properties": { "serializedData": patched.content } });
        let explained = |failure: Failure| match failure.kind {
            Kind::Forbidden => {
                tracing::warn!(
                    code = failure.code.as_str(),
                    id,
                    "a workbook may not be written"
                );
                let detail = "the identity may not write it: grant it Workbook Contributor on its resource group";
                Failure {
                    detail: detail.to_owned(),
                    ..failure
                }
            }
            _ => failure,
        };
        self.manager
            .patch(id, &[VERSION], &body, deadline)
            .await
            .map_err(explained)?;
        let written = self.read(id, deadline).await?;
        let content = written["serializedData"].as_str().unwrap_or_default();
        if patch(content).coverage == PatchState::Patched {
            Ok(written)
        } else {
            Err(changed(
                "it was written, but does not hold what was written",
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

/// Marks the copies of a workbook that is saved several times in a subscription.
fn note_duplicates(copies: &mut [SavedWorkbook]) {
    let subscription = |id: &str| {
        id.split('/')
            .nth(2)
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let is_copy = |copy: &SavedWorkbook| {
        let drift = copy.drift.first();
        drift.is_some_and(|drift| ![Drift::Missing, Drift::NotCoverage].contains(drift))
    };
    for copy in copies.iter().filter(|copy| is_copy(copy)) {
        *counts.entry(subscription(&copy.id)).or_default() += 1;
    }
    for copy in copies.iter_mut().filter(|copy| is_copy(copy)) {
        if counts
            .get(&subscription(&copy.id))
            .is_some_and(|count| *count > 1)
        {
            copy.drift.push(Drift::Duplicate);
        }
    }
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

/// A workbook that is not what it was, or not what was written.
fn changed(detail: &str) -> Failure {
    Failure::new(Kind::Rejected, Code::WorkbookChanged, detail, "changed")
}
