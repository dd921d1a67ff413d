//! Failures as items of a list, and the log lines of a look-up.

use std::collections::HashSet;

use functions::hashes::{
    DefenderAnswer, FileHash, HashResult, ItemError, ItemStatus, LookupAnswer,
};

use crate::outbound::{Failure, Kind, seconds_rounded_up};
use crate::services::CachedAnswer;

pub(super) fn unanswered(hash: FileHash, error: &Failure) -> HashResult {
    let (status, error) = as_item(error);
    HashResult::unanswered(&hash.to_string(), hash.kind(), status, error)
}

/// A failure as an item of a list.
pub(super) fn as_item(failure: &Failure) -> (ItemStatus, ItemError) {
    let status = match failure.kind {
        Kind::Throttled | Kind::TimedOut => ItemStatus::Throttled,
        _ => ItemStatus::Failed,
    };
    let error = ItemError {
        code: failure.code.as_str().to_owned(),
        detail: failure.detail.clone(),
        retry_after_seconds: failure.retry_after.map(seconds_rounded_up),
        cause: failure.cause.clone(),
    };
    (status, error)
}

pub(super) fn verified(entry: &CachedAnswer, cached: bool, stale: bool) -> DefenderAnswer {
    DefenderAnswer {
        profile: entry.profile.clone(),
        as_of: entry.as_of.clone(),
        cached,
        stale,
    }
}

/// One line a call, and one for each kind of failure that a person has to act on.
pub(super) fn log(answer: &LookupAnswer) {
    let s = &answer.summary;
    let throttled = answer
        .results
        .iter()
        .filter(|result| result.status == ItemStatus::Throttled)
        .count();
    tracing::info!(
        code = "looked_up",
        total = s.total,
        malicious = s.malicious,
        suspicious = s.suspicious,
        unknown = s.unknown,
        clean = s.clean,
        invalid = s.invalid,
        throttled,
        failed = s.failed - throttled,
        stale = answer.results.iter().filter(|result| result.stale).count(),
        "looked up hashes"
    );
    let mut logged = HashSet::new();
    let without_answer =
        |result: &&HashResult| [ItemStatus::Failed, ItemStatus::Throttled].contains(&result.status);
    for result in answer.results.iter().filter(without_answer) {
        let Some(error) = result
            .error
            .as_ref()
            .filter(|error| logged.insert(error.code.as_str()))
        else {
            continue;
        };
        tracing::error!(
            code = error.code,
            cause = error.cause,
            file.hash = result.hash,
            "{}",
            error.detail
        );
    }
}
