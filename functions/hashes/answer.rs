//! The answer to a list: one result for each input, and their totals.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    FileAnswer, FileState, HashResult, ItemStatus, RULE_SET, Verdict, files, payload::Inputs,
};

/// Counts of an answer. Those of verdicts, `invalid` and `failed` add up to `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Inputs.
    pub total: usize,
    /// Results with the verdict Malicious.
    pub malicious: usize,
    /// Results with the verdict Suspicious.
    pub suspicious: usize,
    /// Results with the verdict Unknown.
    pub unknown: usize,
    /// Results with the verdict Clean.
    pub clean: usize,
    /// Inputs that are not a SHA-1 or SHA-256.
    pub invalid: usize,
    /// Hashes without a verdict: throttled or failed.
    pub failed: usize,
    /// Values that were left out, because a label marks them as something other than the
    /// hash of a file, such as an IMPHASH. Not part of `total`.
    #[serde(default)]
    pub other_values: usize,
    /// The most severe verdict. Null while a file was not checked and none is Malicious or
    /// Suspicious: what was not checked is not Clean, and neither is a stale answer. An
    /// unusable hash of a file whose other hash has a verdict does not count.
    pub worst: Option<Verdict>,
}

impl Summary {
    fn of(results: &[HashResult], files: &[FileAnswer<'_>]) -> Self {
        let mut summary = Self {
            total: results.len(),
            ..Self::default()
        };
        for result in results {
            *match (result.status, result.verdict) {
                (ItemStatus::Invalid, _) => &mut summary.invalid,
                (_, Some(Verdict::Malicious)) => &mut summary.malicious,
                (_, Some(Verdict::Suspicious)) => &mut summary.suspicious,
                (_, Some(Verdict::Unknown)) => &mut summary.unknown,
                (_, Some(Verdict::Clean)) => &mut summary.clean,
                (_, None) => &mut summary.failed,
            } += 1;
        }
        let worst = files.iter().filter_map(FileAnswer::verdict).max();
        let are_checked = files.iter().all(FileAnswer::is_checked);
        summary.worst = worst.filter(|worst| are_checked || *worst >= Verdict::Suspicious);
        summary
    }
}

/// The answer to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// The time of the answer, RFC 3339 in UTC.
    pub as_of: String,
    /// Version of the verdict rules.
    pub rule_set: Cow<'static, str>,
    /// True if every hash that can be asked has a verdict that is not stale.
    pub complete: bool,
    /// Counts and the worst verdict.
    pub summary: Summary,
    /// One result for each input, in the order asked.
    pub results: Vec<HashResult>,
    /// The sender's words about its files; not part of the answer.
    #[serde(skip)]
    pub sender: Sender,
}

/// The words of a sender in addition to the hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// True if it sent the entities of an incident or an alert.
    pub is_incident: bool,
    /// Names of its files that have no hash.
    pub files_without_hash: Vec<String>,
}

impl LookupAnswer {
    /// Counts the results; `as_of` is the present time, RFC 3339 in UTC.
    pub fn new(as_of: String, results: Vec<HashResult>) -> Self {
        let files = files(&results);
        let summary = Summary::of(&results, &files);
        let complete = !files.iter().any(is_open);
        Self {
            as_of,
            rule_set: RULE_SET.into(),
            complete,
            summary,
            results,
            sender: Sender::default(),
        }
    }

    /// Adds what the inputs say in addition to their hashes.
    #[must_use]
    pub fn with_sender(mut self, inputs: &Inputs) -> Self {
        self.summary.other_values = inputs.other_values;
        self.sender = Sender {
            is_incident: inputs.are_entities,
            files_without_hash: inputs.files_without_hash.clone(),
        };
        self
    }

    /// Seconds after which the unanswered items are worth a retry; `None` when
    /// there are none or no retry is known to help.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.results
            .iter()
            .filter_map(|result| result.error.as_ref()?.retry_after_seconds)
            .max()
    }
}

/// Returns true if a later request may have a better answer for the file.
fn is_open(file: &FileAnswer<'_>) -> bool {
    matches!(file.state(), FileState::NotAsked(_) | FileState::Stale(_))
}

#[cfg(test)]
mod tests;
