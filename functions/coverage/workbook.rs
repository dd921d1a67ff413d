//! The AI column of Microsoft's Coverage workbook, in saved copies of it.
//!
//! The gallery's workbook dates from before the plan for AI, and a saved copy is
//! never refreshed. A copy is patched as parsed JSON, with the order of its keys
//! kept, and items are found by what they ask, not by name. Queries hold
//! no-break spaces and either line end, so anchors take any white space.
//! Source: <https://github.com/microsoft/Application-Insights-Workbooks>,
//! `Workbooks/Azure Security Center/Coverage`

mod additions;
mod canonical;
mod query;
mod share;

use serde_json::Value;

use additions::Work;
pub use canonical::canonical;

/// Column of the AI plan, unless a copy has one of another name.
const COLUMN: &str = "AIServices";

/// What is known of a copy from its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchState {
    /// It shows no plans of Defender for Cloud as the Coverage workbook does, or
    /// so changed that nothing can be added safely.
    NotCoverage,
    /// Nothing of the AI plan is in it.
    Unpatched,
    /// Something is, something is missing.
    PartlyPatched,
    /// Everything is there.
    Patched,
}

/// A copy with the AI plan in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// What it was before.
    pub coverage: PatchState,
    /// What was added, a sentence each; empty for nothing.
    pub edits: Vec<String>,
    /// Whether all that was added is how a column looks, not what is asked.
    pub is_look_only: bool,
    /// Why nothing could be added to a copy that shows plans, and what to do;
    /// empty for nothing.
    pub problem: String,
    /// The content; the same bytes when nothing was added.
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

    /// A copy that needs nothing.
    pub fn whole(content: &str) -> Self {
        Self::nothing(PatchState::Patched, content)
    }
}

/// Adds what is missing of the AI plan to a workbook.
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
