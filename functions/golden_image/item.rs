//! The outcome of a checklist item: its state, and what was seen.

use serde::Serialize;
use utoipa::ToSchema;

use crate::report::text::visible;

/// The outcome of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
// Its name in the API; `CheckState` is that of a health check there.
#[schema(as = State)]
pub enum CheckState {
    /// The condition does not hold.
    Fail,
    /// It holds in part, or is not what Microsoft recommends.
    Warn,
    /// The evidence does not show it, which is not the same as missing.
    NotAssessable,
    /// The condition holds.
    Pass,
    /// The item is not about this machine.
    NotApplicable,
}

impl CheckState {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Warn => "Warn",
            Self::NotAssessable => "NotAssessable",
            Self::Pass => "Pass",
            Self::NotApplicable => "NotApplicable",
        }
    }
}

/// The outcome of an item, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: CheckState,
    pub(super) seen: String,
}

pub(super) type Checked = Result<Outcome, Outcome>;

/// The evidence does not say.
pub(super) fn not_assessable(seen: &str) -> Outcome {
    outcome(CheckState::NotAssessable, seen)
}

pub(super) fn outcome(state: CheckState, seen: impl AsRef<str>) -> Outcome {
    let short: String = visible(seen.as_ref()).chars().take(600).collect();
    Outcome { state, seen: short }
}

pub(super) fn pass(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(CheckState::Pass, seen))
}

pub(super) fn warn(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(CheckState::Warn, seen))
}

pub(super) fn fail(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(CheckState::Fail, seen))
}

pub(super) fn skip(seen: impl AsRef<str>) -> Checked {
    Ok(skipped(seen))
}

pub(super) fn skipped(seen: impl AsRef<str>) -> Outcome {
    outcome(CheckState::NotApplicable, seen)
}

pub(super) fn hold(holds: bool, seen: impl AsRef<str>) -> Checked {
    if holds { pass(seen) } else { fail(seen) }
}
