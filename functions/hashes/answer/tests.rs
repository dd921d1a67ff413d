//! Totals of an answer, and the verdict that counts.

use proptest::prelude::*;

use super::*;
use crate::hashes::{
    AdviceContext, Evidence, HashKind, ItemError, Observable, Source,
    evidence::{Alert, Device, FileStats, Indicator, Indicators, Listed},
    result::samples,
};

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
        hash: "cd".repeat(20),
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
