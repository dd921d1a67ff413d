//! The answer to a list: one result for each input, and their totals.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HashResult, ItemStatus, RULE_SET, UnusableHash, Verdict};

/// Counts of an answer, which add up to `total`.
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
    /// The most severe verdict. Null while an item is not `ok` and none is Malicious or
    /// Suspicious: an item that was not checked is not Clean, and neither is a stale one.
    /// An unusable hash of a file whose other hash has a verdict does not count.
    pub worst: Option<Verdict>,
}

impl Summary {
    fn of(results: &[HashResult]) -> Self {
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
        let worst = results.iter().filter_map(|result| result.verdict).max();
        let is_stale =
            |result: &HashResult| result.stale && result.verdict < Some(Verdict::Suspicious);
        let all_asked = summary.failed == 0
            && !results.iter().any(is_stale)
            && results.iter().all(|result| {
                result.status != ItemStatus::Invalid || is_of_answered_file(result, results)
            });
        summary.worst = worst.filter(|worst| all_asked || *worst >= Verdict::Suspicious);
        summary
    }
}

/// Returns true if an invalid item is a hash of a file whose other hash has a verdict: its
/// MD5, or a hash that the sender's entities join with another one.
fn is_of_answered_file(item: &HashResult, results: &[HashResult]) -> bool {
    let is_md5 = item
        .error
        .as_ref()
        .is_some_and(|error| error.code == UnusableHash::Md5.code());
    let digits = item.hash.rsplit(':').next().unwrap_or_default().trim();
    results
        .iter()
        .filter(|result| result.verdict.is_some())
        .any(|result| {
            let md5 = result
                .file
                .as_ref()
                .and_then(|file| file.md5.as_deref())
                .filter(|md5| md5.len() == 32);
            let joined = item.same_file.is_some() && item.same_file == result.same_file;
            joined || (is_md5 && md5.is_some_and(|md5| digits.eq_ignore_ascii_case(md5)))
        })
}

/// The answer to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// The time of the answer, RFC 3339 in UTC.
    pub as_of: String,
    /// Version of the verdict rules.
    pub rule_set: Cow<'static, str>,
    /// True if every item is `ok` or `invalid`.
    pub complete: bool,
    /// Counts and the worst verdict.
    pub summary: Summary,
    /// One result for each input, in the order asked.
    pub results: Vec<HashResult>,
}

impl LookupAnswer {
    /// Counts the results; `as_of` is the present time, RFC 3339 in UTC.
    pub fn new(as_of: String, results: Vec<HashResult>) -> Self {
        let summary = Summary::of(&results);
        Self {
            as_of,
            rule_set: RULE_SET.into(),
            complete: summary.failed == 0,
            summary,
            results,
        }
    }

    /// Seconds after which the unanswered items are worth a retry; `None` when
    /// there are none or no retry is known to help.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.results
            .iter()
            .filter_map(|result| result.error.as_ref()?.retry_after_seconds)
            .max()
    }

    /// Returns true if a hash was not checked: one without a verdict, or an unusable one of
    /// a file without a verdict by another hash.
    pub fn has_unasked(&self) -> bool {
        let unasked = |result: &HashResult| match result.status {
            ItemStatus::Ok => false,
            ItemStatus::Invalid => !is_of_answered_file(result, &self.results),
            ItemStatus::Throttled | ItemStatus::Failed => true,
        };
        self.results.iter().any(unasked)
    }
}

#[cfg(test)]
mod tests;
