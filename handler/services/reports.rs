//! Reports that are written to storage as runs of a history.
//!
//! [`mod@run`] is the one sequence that every report follows, [`history`] the files
//! in storage, [`delivery`] the actions that follow once a run is written.

pub(crate) mod delivery;
mod history;
pub mod run;

pub(crate) use history::sha256;
pub use history::{Draft, History, Published};
pub use run::{Report, RunBudget, RunError, Runs, run};
