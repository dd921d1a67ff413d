//! The answer to a look-up: one result for each input, and the sum of them.

use serde::Serialize;

use super::{
    FileHash, FileProfile, HashKind, NextAction, Observable, RULE_SET, Reason, Setting, Verdict,
    evidence::{Alert, Device, Evidence, FileStats, Listed, Source},
    judge, judge_not_seen,
    next_action::{advise, advise_on_evidence},
};
use crate::report::csv::{self, Column};

/// What Defender said of a hash, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The file, or `None` where Microsoft has never seen it.
    pub profile: Option<FileProfile>,
    /// When Defender said so, RFC 3339 in UTC.
    pub as_of: String,
    /// Whether it was remembered, not asked for this time.
    pub cached: bool,
    /// Whether it is older than it may be, told because Defender is down.
    pub stale: bool,
}

/// How the look-up of one input ended. JSON `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// Why an item has no verdict. JSON `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemError {
    /// Stable code, such as `hash_md5`, `upstream_throttled`, `missing_permission`.
    pub code: String,
    /// What happened and what to do, for a person.
    pub detail: String,
    /// Seconds after which a retry may help; null where it does not or where
    /// it is not known.
    pub retry_after_seconds: Option<u64>,
    /// More for the log; not part of the answer.
    #[serde(skip)]
    pub cause: String,
}

/// The result for one input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HashResult {
    /// The hash in lower case; for an invalid item the input, made visible.
    pub hash: String,
    /// `sha1` or `sha256`; null for an invalid item.
    pub hash_type: Option<&'static str>,
    /// How the look-up ended.
    pub status: ItemStatus,
    /// The verdict; null unless `status` is `ok`.
    pub verdict: Option<Verdict>,
    /// Why this verdict, the reason that decided first; empty without one.
    pub reasons: Vec<Reason>,
    /// Whether Microsoft has seen the file; null without a verdict.
    pub found: Option<bool>,
    /// Whether the answer was remembered, not asked for this time.
    pub cached: bool,
    /// Whether the answer is older than it may be, because Defender is down.
    pub stale: bool,
    /// When Defender said so, RFC 3339 in UTC; null without a verdict.
    pub as_of: Option<String>,
    /// The file as Defender describes it; null when not found.
    pub file: Option<FileProfile>,
    /// How often the tenant saw the file; null unless asked for.
    pub stats: Option<Source<FileStats>>,
    /// Alerts that involve the file; null unless asked for.
    pub alerts: Option<Source<Listed<Alert>>>,
    /// Devices that saw the file; null unless asked for.
    pub devices: Option<Source<Listed<Device>>>,
    /// Advice what to do next, the most urgent first; empty without a verdict.
    pub next_actions: Vec<NextAction>,
    /// Why there is no verdict; null when there is one.
    pub error: Option<ItemError>,
    /// Results with the same number are of one file; not part of the answer.
    #[serde(skip)]
    pub same_file: Option<usize>,
}

impl HashResult {
    /// The result for a hash that Defender answered for.
    pub fn verified(hash: FileHash, answer: Verified, setting: &Setting) -> Self {
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

    /// The result with evidence beside it, and the advice that follows. The
    /// verdict stays as it is.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence, setting: &Setting) -> Self {
        let count = |listed: Option<usize>| listed.unwrap_or_default();
        let alerts = count(
            evidence
                .alerts
                .as_ref()
                .and_then(|alerts| Some(alerts.data.as_ref()?.count)),
        );
        let devices = count(
            evidence
                .devices
                .as_ref()
                .and_then(|devices| Some(devices.data.as_ref()?.count)),
        );
        if let Some(verdict) = self.verdict {
            let position = self
                .next_actions
                .iter()
                .position(|next| next.action == "open_file_page");
            let more = advise_on_evidence(&self.hash, verdict, alerts, devices, setting);
            let at = position.unwrap_or(self.next_actions.len());
            self.next_actions.splice(at..at, more);
        }
        Self {
            stats: evidence.stats,
            alerts: evidence.alerts,
            devices: evidence.devices,
            ..self
        }
    }

    /// Whether a source of evidence that was asked for could not be read.
    pub fn lacks_evidence(&self) -> bool {
        let failed = [
            self.stats
                .as_ref()
                .is_some_and(|source| source.error.is_some()),
            self.alerts
                .as_ref()
                .is_some_and(|source| source.error.is_some()),
            self.devices
                .as_ref()
                .is_some_and(|source| source.error.is_some()),
        ];
        failed.contains(&true)
    }

    /// The SHA-1 of the file, under which alone some sources know it.
    pub fn sha1(&self) -> Option<FileHash> {
        let of_file = self
            .file
            .as_ref()
            .and_then(|file| file.sha1.as_deref())
            .unwrap_or(&self.hash);
        of_file
            .parse()
            .ok()
            .filter(|hash: &FileHash| hash.kind() == HashKind::Sha1)
    }

    /// The result for a hash that could not be asked: `Throttled` or `Failed`.
    pub fn unanswered(hash: &str, kind: HashKind, status: ItemStatus, error: ItemError) -> Self {
        Self::without_verdict(hash, Some(kind), status, Some(error))
    }

    /// The result for an input that is no hash; `None` for one that is.
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
            hash_type: kind.map(HashKind::as_str),
            status,
            verdict: None,
            reasons: Vec::new(),
            found: None,
            cached: false,
            stale: false,
            as_of: None,
            file: None,
            stats: None,
            alerts: None,
            devices: None,
            next_actions: Vec::new(),
            error,
            same_file: None,
        }
    }
}

/// Counts of an answer, which add up to `total`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// Inputs that are no SHA-1 or SHA-256.
    pub invalid: usize,
    /// Hashes without a verdict: throttled or failed.
    pub failed: usize,
    /// The most severe verdict. Null while an item is not `ok` and none is
    /// Malicious or Suspicious: what was not asked is not Clean, nor is what
    /// is told as stale. An unusable hash of a file whose other hash was
    /// answered does not count.
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
        let told_old =
            |result: &HashResult| result.stale && result.verdict < Some(Verdict::Suspicious);
        let all_asked = summary.failed == 0
            && !results.iter().any(told_old)
            && results.iter().all(|result| {
                result.status != ItemStatus::Invalid || is_of_answered_file(result, results)
            });
        summary.worst = worst.filter(|worst| all_asked || *worst >= Verdict::Suspicious);
        summary
    }
}

/// Whether an invalid item is a hash of a file whose other hash was answered:
/// its MD5, or a hash that the sender's entities join with another one.
fn is_of_answered_file(item: &HashResult, results: &[HashResult]) -> bool {
    let is_md5 = item
        .error
        .as_ref()
        .is_some_and(|error| error.code == "hash_md5");
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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// When the answer was made, RFC 3339 in UTC.
    pub as_of: String,
    /// Version of the verdict rules.
    pub rule_set: &'static str,
    /// Whether every item is `ok` or `invalid`.
    pub complete: bool,
    /// Counts and the worst verdict.
    pub summary: Summary,
    /// One result for each input, in the order asked.
    pub results: Vec<HashResult>,
}

impl LookupAnswer {
    /// Sums up results; `as_of` is the present time, RFC 3339 in UTC.
    pub fn new(as_of: String, results: Vec<HashResult>) -> Self {
        let summary = Summary::of(&results);
        Self {
            as_of,
            rule_set: RULE_SET,
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

    /// Whether a hash was given that could not be asked: one without a verdict,
    /// or an unusable one of a file that was not answered by another hash.
    pub fn has_unasked(&self) -> bool {
        let unasked = |result: &HashResult| match result.status {
            ItemStatus::Ok => false,
            ItemStatus::Invalid => !is_of_answered_file(result, &self.results),
            ItemStatus::Throttled | ItemStatus::Failed => true,
        };
        self.results.iter().any(unasked)
    }

    /// The results as CSV (RFC 4180, UTF-8, header line), a row each.
    pub fn to_csv(&self) -> String {
        csv::render(&CSV_COLUMNS, &self.results)
    }
}

#[rustfmt::skip]
const CSV_COLUMNS: [Column<HashResult>; 17] = [
    ("hash", |r| r.hash.clone()),
    ("hashType", |r| r.hash_type.unwrap_or_default().to_owned()),
    ("status", |r| status_word(r.status).to_owned()),
    ("verdict", |r| r.verdict.map(Verdict::as_str).unwrap_or_default().to_owned()),
    ("reasonCode", |r| r.reasons.first().map(|reason| reason.code.to_owned()).unwrap_or_default()),
    ("reason", |r| r.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default()),
    ("found", |r| r.found.map(|found| found.to_string()).unwrap_or_default()),
    ("cached", |r| r.cached.to_string()),
    ("stale", |r| r.stale.to_string()),
    ("asOf", |r| r.as_of.clone().unwrap_or_default()),
    ("sha1", |r| of_file(r, |file| file.sha1.clone())),
    ("sha256", |r| of_file(r, |file| file.sha256.clone())),
    ("determinationType", |r| of_file(r, |file| file.determination_type.clone())),
    ("determinationValue", |r| of_file(r, |file| file.determination_value.clone())),
    ("globalPrevalence", |r| of_file(r, |file| file.global_prevalence.map(|count| count.to_string()))),
    ("signer", |r| of_file(r, |file| file.signer.clone())),
    ("error", |r| r.error.as_ref().map(|error| format!("{}: {}", error.code, error.detail)).unwrap_or_default()),
];

fn of_file(result: &HashResult, field: fn(&FileProfile) -> Option<String>) -> String {
    result.file.as_ref().and_then(field).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verified(determination: &str) -> HashResult {
        let profile = FileProfile {
            determination_type: Some(determination.to_owned()),
            ..FileProfile::default()
        };
        let answer = Verified {
            profile: Some(profile),
            as_of: String::new(),
            cached: false,
            stale: false,
        };
        let setting = Setting {
            portal: String::new(),
            indicator_expires: String::new(),
        };
        HashResult::verified("ab".repeat(20).parse().unwrap(), answer, &setting)
    }

    fn failed() -> HashResult {
        let error = ItemError {
            code: "upstream_unavailable".into(),
            detail: String::new(),
            retry_after_seconds: Some(3),
            cause: String::new(),
        };
        HashResult::unanswered("ab", HashKind::Sha1, ItemStatus::Failed, error)
    }

    fn invalid() -> HashResult {
        HashResult::invalid(&Observable::parse("zz")).unwrap()
    }

    fn worst(results: Vec<HashResult>) -> Option<Verdict> {
        LookupAnswer::new(String::new(), results).summary.worst
    }

    #[test]
    fn worst_is_null_while_something_was_not_asked_and_nothing_bad_was_found() {
        assert_eq!(worst(vec![]), None);
        assert_eq!(
            worst(vec![verified("Clean"), verified("Unknown")]),
            Some(Verdict::Unknown)
        );
        assert_eq!(worst(vec![verified("Clean"), failed()]), None);
        assert_eq!(worst(vec![verified("Clean"), invalid()]), None);
        assert_eq!(
            worst(vec![verified("Pua"), failed()]),
            Some(Verdict::Suspicious)
        );
        assert_eq!(
            worst(vec![verified("Malware"), invalid(), failed()]),
            Some(Verdict::Malicious)
        );
    }

    #[test]
    fn a_stale_clean_is_no_all_clear() {
        let stale = |word| HashResult {
            stale: true,
            ..verified(word)
        };
        assert_eq!(worst(vec![stale("Clean"), verified("Clean")]), None);
        assert_eq!(
            worst(vec![stale("Malware"), verified("Clean")]),
            Some(Verdict::Malicious)
        );
    }

    #[test]
    fn the_md5_of_an_answered_file_does_not_hide_the_worst_verdict() {
        let md5 = "9202651c295369eb01cc7a10cd59adff";
        let mut clean = verified("Clean");
        clean.file.as_mut().unwrap().md5 = Some(md5.to_uppercase());
        let of_file = HashResult::invalid(&Observable::parse(md5)).unwrap();
        assert_eq!(worst(vec![clean.clone(), of_file]), Some(Verdict::Clean));
        let of_another = HashResult::invalid(&Observable::parse(&"a".repeat(32))).unwrap();
        assert_eq!(worst(vec![clean, of_another]), None);
    }

    #[test]
    fn an_unanswered_item_makes_the_answer_incomplete_and_an_invalid_one_does_not() {
        assert!(LookupAnswer::new(String::new(), vec![verified("Clean"), invalid()]).complete);
        let answer = LookupAnswer::new(String::new(), vec![verified("Clean"), failed()]);
        assert!(!answer.complete);
        assert_eq!(answer.retry_after_seconds(), Some(3));
    }

    #[test]
    fn csv_has_a_row_for_every_result() {
        let csv = LookupAnswer::new(
            String::new(),
            vec![verified("Malware"), invalid(), failed()],
        )
        .to_csv();
        insta::assert_snapshot!(csv.replace("\r\n", "\n"), @r"
        hash,hashType,status,verdict,reasonCode,reason,found,cached,stale,asOf,sha1,sha256,determinationType,determinationValue,globalPrevalence,signer,error
        abababababababababababababababababababab,sha1,ok,Malicious,determination_malware,Microsoft determined malware,true,false,false,,,,Malware,,,,
        zz,,invalid,,,,,false,false,,,,,,,,hash_character: the character z at position 1 is not a hexadecimal digit
        ab,sha1,failed,,,,,false,false,,,,,,,,upstream_unavailable: 
        ");
    }

    proptest! {
        #[test]
        fn evidence_never_changes_a_verdict(
            kind in "Malware|Pua|Clean|Unknown|Foo|", alerts in 0..30usize, devices in 0..30usize, fails in any::<bool>(),
        ) {
            let setting = Setting { portal: String::new(), indicator_expires: String::new() };
            let bare = verified(&kind);
            let error = ItemError { code: "x".into(), detail: String::new(), retry_after_seconds: None, cause: String::new() };
            let listed = |count| if fails { Err(error.clone()) } else { Ok(count) };
            let evidence = Evidence {
                stats: Some(Source::new(listed(0).map(|_| FileStats::default()))),
                alerts: Some(Source::new(listed(alerts).map(|count| Listed::new(vec![Alert::default(); count])))),
                devices: Some(Source::new(listed(devices).map(|count| Listed::new(vec![Device::default(); count])))),
            };
            let more = bare.clone().with_evidence(evidence, &setting);
            prop_assert_eq!((more.verdict, &more.reasons), (bare.verdict, &bare.reasons));
            prop_assert!(more.next_actions.len() >= bare.next_actions.len());
        }

        #[test]
        fn counts_add_up_to_the_total(kinds in proptest::collection::vec(0..6usize, 0..40)) {
            let make = [|| verified("Malware"), || verified("Pua"), || verified("Clean"), || verified(""), failed, invalid];
            let answer = LookupAnswer::new(String::new(), kinds.iter().map(|kind| make[*kind]()).collect());
            let s = answer.summary;
            prop_assert_eq!(s.malicious + s.suspicious + s.unknown + s.clean + s.invalid + s.failed, s.total);
            prop_assert_eq!(s.total, kinds.len());
        }
    }
}
