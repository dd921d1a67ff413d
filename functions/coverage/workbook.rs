//! The AI column of Microsoft's Coverage workbook, in saved copies of it.
//!
//! The gallery's workbook is older than Defender for AI, and a saved copy is never
//! refreshed. A copy is patched as parsed JSON, with the order of its keys kept, and items
//! are found by their queries, not by name. Queries have no-break spaces and either line
//! end, so anchors accept any white space.
//! Source: <https://github.com/microsoft/Application-Insights-Workbooks>,
//! `Workbooks/Azure Security Center/Coverage`

mod additions;
mod canonical;
mod inspection;
mod query;
mod share;

use serde_json::Value;

use additions::Work;

pub use canonical::canonical;
pub use inspection::{Drift, Edited, Inspection, SavedWorkbook, note_duplicates};

/// The column of Defender for AI, unless a copy has one of another name.
const COLUMN: &str = "AIServices";

/// The state of a copy by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchState {
    /// It does not show plans of Defender for Cloud as the Coverage workbook does, or is so
    /// changed that nothing can be added safely.
    NotCoverage,
    /// It has no part of Defender for AI.
    Unpatched,
    /// It has some parts; others are missing.
    PartlyPatched,
    /// It has every part.
    Patched,
}

/// A copy with Defender for AI in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The state before.
    pub coverage: PatchState,
    /// The additions, a sentence each; empty for none.
    pub edits: Vec<String>,
    /// True if the additions only change how a column looks, not a query.
    pub is_look_only: bool,
    /// The reason why nothing could be added to a copy that shows plans, and what to do;
    /// empty for none.
    pub problem: String,
    /// The content; the same bytes if nothing was added.
    pub content: String,
}

impl Patch {
    fn nothing(coverage: PatchState, content: &str) -> Self {
        Self {
            coverage,
            edits: Vec::new(),
            is_look_only: false,
            problem: String::new(),
            content: content.to_owned(),
        }
    }

    /// A copy that needs no additions.
    pub fn complete(content: &str) -> Self {
        Self::nothing(PatchState::Patched, content)
    }
}

/// Adds the missing parts of Defender for AI to a workbook.
pub fn patch(content: &str) -> Patch {
    let unchanged = |coverage| Patch::nothing(coverage, content);
    let Ok(mut workbook) = serde_json::from_str::<Value>(content.trim_start_matches('\u{feff}'))
    else {
        return unchanged(PatchState::NotCoverage);
    };
    let mut work = Work::default();
    work.numbers_and_grids(workbook.get_mut("items"), 0);
    work.shares(workbook.get_mut("items"), 0);
    let coverage = match (work.found, work.edits.len(), work.there) {
        (0, _, _) => PatchState::NotCoverage,
        _ if !work.problem.is_empty() => PatchState::NotCoverage,
        (_, 0, _) => PatchState::Patched,
        (_, _, 0) => PatchState::Unpatched,
        _ => PatchState::PartlyPatched,
    };
    if work.edits.is_empty() || !work.problem.is_empty() {
        return Patch {
            problem: work.problem,
            ..unchanged(coverage)
        };
    }
    Patch {
        coverage,
        edits: work.edits,
        is_look_only: !work.asks_more,
        problem: String::new(),
        content: workbook.to_string(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
