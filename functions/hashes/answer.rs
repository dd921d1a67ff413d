//! The answer to a list: one result for each input, and the sum of them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Evidence, FileProfile, HashResult, ItemStatus, RULE_SET, Verdict, result::status_word,
};
use crate::report::csv::{self, Column};

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupAnswer {
    /// When the answer was made, RFC 3339 in UTC.
    pub as_of: String,
    /// Version of the verdict rules.
    pub rule_set: Cow<'static, str>,
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
const CSV_COLUMNS: [Column<HashResult>; 21] = [
    ("hash", |r| r.hash.clone()),
    ("hashType", |r| r.hash_type.as_deref().unwrap_or_default().to_owned()),
    ("status", |r| status_word(r.status).to_owned()),
    ("verdict", |r| r.verdict.map(Verdict::as_str).unwrap_or_default().to_owned()),
    ("reasonCode", |r| r.reasons.first().map(|reason| reason.code.to_string()).unwrap_or_default()),
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
    ("organizationPrevalence", |r| counted(r, |e| e.stats.as_ref()?.data.as_ref()?.organization_prevalence)),
    ("alerts", |r| counted(r, |e| Some(e.alerts.as_ref()?.data.as_ref()?.count as u64))),
    ("devices", |r| counted(r, |e| Some(e.devices.as_ref()?.data.as_ref()?.count as u64))),
    ("indicators", |r| indicators(&r.evidence)),
    ("error", |r| r.error.as_ref().map(|error| format!("{}: {}", error.code, error.detail)).unwrap_or_default()),
];

/// Actions of the Indicators, `none`, and whether the app's own alone are
/// visible; empty where they were not asked for or not read.
fn indicators(evidence: &Evidence) -> String {
    let Some(found) = evidence
        .indicators
        .as_ref()
        .and_then(|source| source.data.as_ref())
    else {
        return String::new();
    };
    let mut words = evidence.indicator_actions();
    if found.items.is_empty() {
        words.push("none");
    }
    if found.own_only {
        words.push("(own only)");
    }
    words.join(" ")
}

/// A number of the evidence; empty where it was not asked for or not read.
fn counted(result: &HashResult, field: fn(&Evidence) -> Option<u64>) -> String {
    let count = field(&result.evidence);
    count.map(|count| count.to_string()).unwrap_or_default()
}

fn of_file(result: &HashResult, field: fn(&FileProfile) -> Option<String>) -> String {
    result.file.as_ref().and_then(field).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{
        AdviceContext, HashKind, ItemError, Observable, Source,
        evidence::{Alert, Device, FileStats, Indicator, Indicators, Listed},
        result::samples,
    };
    use proptest::prelude::*;

    fn verified(determination: &str) -> HashResult {
        samples::verified(determination, "")
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
        hash,hashType,status,verdict,reasonCode,reason,found,cached,stale,asOf,sha1,sha256,determinationType,determinationValue,globalPrevalence,signer,organizationPrevalence,alerts,devices,indicators,error
        abababababababababababababababababababab,sha1,ok,Malicious,determination_malware,Microsoft determined malware,true,false,false,,,,Malware,,,,,,,,
        zz,,invalid,,,,,false,false,,,,,,,,,,,,hash_character: the character z at position 1 is not a hexadecimal digit
        ab,sha1,failed,,,,,false,false,,,,,,,,,,,,upstream_unavailable: 
        ");
    }

    proptest! {
        #[test]
        fn evidence_never_changes_a_verdict(
            kind in "Malware|Pua|Clean|Unknown|Foo|", alerts in 0..30usize, devices in 0..30usize, fails in any::<bool>(),
            action in "Allowed|Block|Audit|Foo",
        ) {
            let setting = AdviceContext { portal: String::new(), indicator_expires: String::new() };
            let bare = verified(&kind);
            let error = ItemError { code: "x".into(), detail: String::new(), retry_after_seconds: None, cause: String::new() };
            let listed = |count| if fails { Err(error.clone()) } else { Ok(count) };
            let evidence = Evidence {
                stats: Some(Source::new(listed(0).map(|_| FileStats::default()))),
                alerts: Some(Source::new(listed(alerts).map(|count| Listed::new(vec![Alert::default(); count])))),
                devices: Some(Source::new(listed(devices).map(|count| Listed::new(vec![Device::default(); count])))),
                indicators: Some(Source::new(listed(1).map(|_| {
                    let indicator = Indicator { action: Some(action), ..Indicator::default() };
                    Indicators::new(vec![indicator], false)
                }))),
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
