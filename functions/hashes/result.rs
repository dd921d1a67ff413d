//! The result for one input: a verdict with its reasons, or why there is none.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AdviceContext, Evidence, FileHash, FileProfile, HashKind, NextAction, Observable, Reason,
    Verdict, judge, judge_not_seen,
    next_action::{advise, advise_on_evidence},
};

/// The response of Defender about a hash, with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct DefenderAnswer {
    /// The file, or `None` where Microsoft has never seen it.
    pub profile: Option<FileProfile>,
    /// The time of the response, RFC 3339 in UTC.
    pub as_of: String,
    /// True if it comes from the cache.
    pub cached: bool,
    /// True if it is too old, but shown because Defender is down.
    pub stale: bool,
}

/// The outcome of the look-up of one input. JSON `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ItemStatus {
    /// There is a verdict.
    Ok,
    /// The input is not a SHA-1 or SHA-256; `error` says why.
    Invalid,
    /// Not asked: a limit or the deadline came first. A retry helps.
    Throttled,
    /// Asked in vain; `error` says why. Never a verdict.
    Failed,
}

/// The reason why an item has no verdict. JSON `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemError {
    /// Stable code, such as `hash_md5`, `upstream_throttled`, `missing_permission`.
    pub code: String,
    /// The cause and the remedy, for a person.
    pub detail: String,
    /// Seconds after which a retry may help; null where it does not or where
    /// it is not known.
    pub retry_after_seconds: Option<u64>,
    /// More for the log; not part of the answer.
    #[serde(skip)]
    pub cause: String,
}

/// The code of a source that was not asked, because it knows files only by SHA-1.
pub const SHA1_UNKNOWN: &str = "sha1_unknown";

/// The result for one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HashResult {
    /// The hash in lower case; for an invalid item the input, made visible.
    pub hash: String,
    /// `sha1` or `sha256`; null for an invalid item.
    pub hash_type: Option<Cow<'static, str>>,
    /// The outcome of the look-up.
    pub status: ItemStatus,
    /// The verdict; null unless `status` is `ok`.
    pub verdict: Option<Verdict>,
    /// The reasons for the verdict, the decisive one first; empty without one.
    pub reasons: Vec<Reason>,
    /// True if Microsoft has seen the file; null without a verdict.
    pub found: Option<bool>,
    /// True if the answer comes from the cache.
    pub cached: bool,
    /// True if the answer is too old, but shown because Defender is down.
    pub stale: bool,
    /// The time of the response of Defender, RFC 3339 in UTC; null without a verdict.
    pub as_of: Option<String>,
    /// The file as Defender describes it; null when not found.
    pub file: Option<FileProfile>,
    /// The evidence of the tenant; each source is null unless requested.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// Advice what to do next, the most urgent first; empty without a verdict.
    pub next_actions: Vec<NextAction>,
    /// The reason why there is no verdict; null if there is one.
    pub error: Option<ItemError>,
    /// Results with the same number are of one file; not part of the answer.
    #[serde(skip)]
    pub same_file: Option<usize>,
    /// The name under which the sender knows the file; not part of the answer.
    #[serde(skip)]
    pub file_name: Option<String>,
}

impl HashResult {
    /// The result for a hash that Defender answered for.
    pub fn verified(hash: FileHash, answer: DefenderAnswer, setting: &AdviceContext) -> Self {
        let (verdict, reasons) = answer.profile.as_ref().map_or_else(judge_not_seen, judge);
        Self {
            verdict: Some(verdict),
            reasons,
            found: Some(answer.profile.is_some()),
            cached: answer.cached,
            stale: answer.stale,
            as_of: Some(answer.as_of),
            next_actions: advise(hash, answer.profile.as_ref(), verdict, setting),
            file: answer.profile,
            ..Self::without_verdict(&hash.to_string(), Some(hash.kind()), ItemStatus::Ok, None)
        }
    }

    /// Adds evidence and the advice that follows from it. The verdict does not change.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence, setting: &AdviceContext) -> Self {
        if let Some(verdict) = self.verdict {
            advise_on_evidence(
                &mut self.next_actions,
                &self.hash,
                verdict,
                &evidence,
                setting,
            );
        }
        Self { evidence, ..self }
    }

    /// Returns true if a source of evidence was requested but could not be read.
    pub fn lacks_evidence(&self) -> bool {
        !self.evidence_errors().is_empty()
    }

    /// The error of each source that was requested and could not be read. A file that
    /// Defender has no record of has nothing to read under a SHA-1 that no one knows.
    pub fn evidence_errors(&self) -> Vec<(&'static str, &ItemError)> {
        let is_known = |error: &ItemError| self.found == Some(true) || error.code != SHA1_UNKNOWN;
        let errors = self.evidence.errors().into_iter();
        errors.filter(|(_, error)| is_known(error)).collect()
    }

    /// The hashes under which sources may know the file, SHA-1 first.
    pub fn known_hashes(&self) -> Vec<FileHash> {
        let Ok(asked) = self.hash.parse::<FileHash>() else {
            return Vec::new();
        };
        let of_file = self.file.as_ref().map(|file| file.known_hashes(asked));
        let mut hashes = of_file.unwrap_or_else(|| vec![asked]);
        hashes.sort();
        hashes
    }

    /// The result for a hash that could not be checked: `Throttled` or `Failed`.
    pub fn unanswered(hash: &str, kind: HashKind, status: ItemStatus, error: ItemError) -> Self {
        Self::without_verdict(hash, Some(kind), status, Some(error))
    }

    /// The result for an input that is not a hash; `None` for one that is.
    pub fn invalid(input: &Observable) -> Option<Self> {
        let reason = input.hash.as_ref().err()?;
        let error = ItemError {
            code: reason.code().to_owned(),
            detail: reason.to_string(),
            retry_after_seconds: None,
            cause: String::new(),
        };
        Some(Self::without_verdict(
            &input.text,
            None,
            ItemStatus::Invalid,
            Some(error),
        ))
    }

    fn without_verdict(
        hash: &str,
        kind: Option<HashKind>,
        status: ItemStatus,
        error: Option<ItemError>,
    ) -> Self {
        Self {
            hash: hash.to_owned(),
            hash_type: kind.map(|kind| kind.as_str().into()),
            status,
            verdict: None,
            reasons: Vec::new(),
            found: None,
            cached: false,
            stale: false,
            as_of: None,
            file: None,
            evidence: Evidence::default(),
            next_actions: Vec::new(),
            error,
            same_file: None,
            file_name: None,
        }
    }
}

/// The word of the JSON answer for a status.
pub fn status_word(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Ok => "ok",
        ItemStatus::Invalid => "invalid",
        ItemStatus::Throttled => "throttled",
        ItemStatus::Failed => "failed",
    }
}

/// Results that tests of other modules start from.
#[cfg(test)]
pub(super) mod samples {
    use super::{AdviceContext, DefenderAnswer, FileProfile, HashResult};

    /// A file of which Defender says this; an empty threat is none.
    pub(in crate::hashes) fn verified(determination: &str, threat: &str) -> HashResult {
        let profile = FileProfile {
            determination_type: Some(determination.to_owned()),
            determination_value: Some(threat.to_owned()),
            ..FileProfile::default()
        };
        let answer = DefenderAnswer {
            profile: Some(profile),
            as_of: String::new(),
            cached: false,
            stale: false,
        };
        let setting = AdviceContext {
            portal: String::new(),
            indicator_expires: String::new(),
        };
        HashResult::verified("ab".repeat(20).parse().unwrap(), answer, &setting)
    }
}
