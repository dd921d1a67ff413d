//! Keeps the AI column in saved copies of Microsoft's Coverage workbook.
//!
//! It only reports, unless `WORKBOOK_REPAIR` is on. A copy is read again right
//! before it is written, and not touched when it changed in the meantime; Azure
//! keeps every revision. A copy that was seen complete is kept in storage.

mod kept;

use std::{sync::Arc, time::Duration};

use functions::{
    coverage::{
        WORKBOOKS,
        workbook::{
            Drift, Edited, Inspection, Patch, PatchState, SavedWorkbook, note_duplicates, patch,
        },
    },
    query::Record,
    report::run::JSON,
};
use serde::Deserialize;
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
};
use kept::{GONE, Kept, fingerprint, name_of};

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
