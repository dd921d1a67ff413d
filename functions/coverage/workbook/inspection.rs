//! The states of the saved copies of a tenant.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PatchState;

/// The state of a saved copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Drift {
    /// It was seen before and no longer exists.
    Missing,
    /// It looks like the Coverage workbook by name, not by content.
    NotCoverage,
    /// It has no part of Defender for AI.
    Unpatched,
    /// It lacks some parts of Defender for AI.
    PartlyPatched,
    /// It has every part.
    Patched,
    /// It has every part, and was edited since it was kept.
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
    /// The missing parts, or those that were added.
    pub edits: Vec<String>,
    /// True if the edits were written.
    pub repaired: bool,
    /// The reason why it was not or cannot be read or written; empty for none.
    pub problem: String,
}

impl SavedWorkbook {
    /// A copy of which nothing else is known yet.
    pub fn new(id: &str, display_name: &str) -> Self {
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

impl From<(PatchState, Edited)> for Drift {
    fn from(state: (PatchState, Edited)) -> Self {
        match state {
            (PatchState::NotCoverage, _) => Self::NotCoverage,
            (PatchState::Unpatched, _) => Self::Unpatched,
            (PatchState::PartlyPatched, _) => Self::PartlyPatched,
            (PatchState::Patched, Edited::SinceKept) => Self::PatchedButEdited,
            (PatchState::Patched, Edited::No) => Self::Patched,
        }
    }
}

/// Edits of a copy that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It is as it was kept, or was never kept.
    No,
    /// Its content differs from the kept one.
    SinceKept,
}

/// All saved copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// By id.
    pub copies: Vec<SavedWorkbook>,
    /// True if repair is on.
    pub repair: bool,
    /// The reasons why not every copy could be read, a sentence each.
    pub reasons: Vec<String>,
}

/// Marks the copies of a workbook that is saved several times in a subscription.
pub fn note_duplicates(copies: &mut [SavedWorkbook]) {
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
