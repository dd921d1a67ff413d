//! The time for which an answer of Defender is not asked for again.

use std::time::Duration;

use super::{FileProfile, Verdict, judge};

/// The time for which an answer is fresh; `None` is a file that was never seen. The more a
/// change would matter, the shorter it is.
pub fn fresh_for(profile: Option<&FileProfile>) -> Duration {
    let minutes = match profile.map(|profile| judge(profile).0) {
        Some(Verdict::Malicious) => 6 * 60,
        Some(Verdict::Suspicious) | Some(Verdict::Clean) => 60,
        Some(Verdict::Unknown) => 15,
        None => 5,
    };
    Duration::from_secs(minutes * 60)
}
