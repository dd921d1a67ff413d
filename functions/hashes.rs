//! File hashes: the input, the verdict on the file, and the answer.
//!
//! In reading order: what a caller sends, what Microsoft Defender for Endpoint
//! answers, the verdict that follows, and the answer that goes back.

pub mod answer;
pub mod evidence;
pub mod file_hash;
pub mod file_profile;
mod files;
mod freshness;
mod guard;
mod hunting_query;
mod indicator;
pub mod next_action;
pub mod payload;
mod render;
pub mod result;
pub mod verdict;

pub use answer::{LookupAnswer, Sender, Summary};
pub use evidence::{Evidence, Source};
pub use file_hash::{FileHash, HashKind, Observable, UnusableHash};
pub use file_profile::{FileProfile, UnusableProfile};
pub use files::{FileAnswer, FileState, files};
pub use freshness::fresh_for;
pub use indicator::IndicatorRequest;
pub use next_action::{AdviceContext, NextAction};
pub use payload::{Inputs, UnusableRequest};
pub use render::{CLEAN_MEANS, Overview, StatAnswer};
pub use result::{DefenderAnswer, HashResult, ItemError, ItemStatus, SHA1_UNKNOWN};
pub use verdict::{RULE_SET, Reason, Verdict, judge, judge_not_seen};
