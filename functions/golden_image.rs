//! Golden images of virtual desktops: evidence, checklist and scripts.
//!
//! In reading order: the expectations of an operator, the evidence of a machine, the
//! checks, the assessment, and the scripts that prepare an image.

mod assessment;
mod checklist;
mod checks;
mod evidence;
mod expectation;
mod item;
mod machine;
mod pages;
mod scripts;

pub use assessment::{Assessment, ItemResult, Totals, assess};
pub use checklist::{CHECKLIST, Item};
pub use evidence::{Evidence, EvidenceError, MAX_BYTES};
pub use expectation::{Expectation, Role, Startup};
pub use item::CheckState;
pub use scripts::{ClockTime, Folder, Script, ScriptError, UncPath};
