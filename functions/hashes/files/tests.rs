//! Which results are of one file, and what is known about it.

use proptest::prelude::*;

use super::*;
use crate::hashes::{
    FileProfile, HashKind, ItemError, LookupAnswer, Observable, result::samples::verified,
};

const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

fn sha1(digit: &str) -> String {
    digit.repeat(40)
}

fn sha256(digit: &str) -> String {
    digit.repeat(64)
}

/// An answer of Defender for a hash of the file that has these hashes.
fn answered(hash: &str, determination: &str, hashes: [Option<&str>; 3]) -> HashResult {
    let [sha1, sha256, md5] = hashes.map(|hash| hash.map(str::to_owned));
    let of_sample = verified(determination, "");
    let kind = if hash.len() == 64 { "sha256" } else { "sha1" };
    HashResult {
        hash: hash.to_owned(),
        hash_type: Some(kind.into()),
        file: Some(FileProfile {
            sha1,
            sha256,
            md5,
            ..of_sample.file.clone().unwrap()
        }),
        ..of_sample
    }
}

fn throttled(hash: &str) -> HashResult {
    let error = ItemError {
        code: "upstream_throttled".into(),
        detail: "later".into(),
        retry_after_seconds: Some(9),
        cause: String::new(),
    };
    let kind = if hash.len() == 64 {
        HashKind::Sha256
    } else {
        HashKind::Sha1
    };
    HashResult::unanswered(hash, kind, ItemStatus::Throttled, error)
}

fn invalid(text: &str) -> HashResult {
    HashResult::invalid(&Observable::parse(text)).unwrap()
}

fn of_sender(number: usize, result: HashResult) -> HashResult {
    HashResult {
        same_file: Some(number),
        ..result
    }
}

fn states(results: &[HashResult]) -> Vec<(usize, &'static str)> {
    let word = |file: &FileAnswer<'_>| match file.state() {
        FileState::Checked => "checked",
        FileState::Stale(_) => "stale",
        FileState::NotAsked(_) => "not asked",
        FileState::Unusable(_) => "unusable",
    };
    let files = files(results);
    files
        .iter()
        .map(|file| (file.results().len(), word(file)))
        .collect()
}

#[test]
fn field_h04_all_hashes_of_an_ordinary_alert_are_one_checked_file() {
    let (one, two) = (sha1("a"), sha256("b"));
    let known = [Some(one.as_str()), Some(two.as_str()), Some(MD5)];
    let results = [
        answered(&one, "Clean", known),
        invalid(&format!("md5:{}", MD5.to_uppercase())),
        answered(&two, "Clean", known),
    ];
    assert_eq!(states(&results), [(3, "checked")]);
    // Without Defender's word, that of the sender joins them.
    let results = [
        of_sender(1, answered(&two, "Clean", [None; 3])),
        of_sender(1, invalid(MD5)),
        of_sender(2, invalid(&"c".repeat(32))),
    ];
    assert_eq!(states(&results), [(2, "checked"), (1, "unusable")]);
}

#[test]
fn a_hash_that_can_still_be_asked_keeps_its_file_open() {
    let (one, two) = (sha1("a"), sha256("b"));
    let clean = || of_sender(1, answered(&two, "Clean", [None, Some(&two), None]));
    assert_eq!(
        states(&[clean(), of_sender(1, throttled(&one))]),
        [(2, "not asked")]
    );
    // Defender itself names the other hash: its answer is about both.
    let named = answered(&two, "Clean", [Some(&one), Some(&two), None]);
    assert_eq!(states(&[named, throttled(&one)]), [(2, "checked")]);
    let answer = LookupAnswer::new(String::new(), vec![clean(), of_sender(1, throttled(&one))]);
    assert_eq!((answer.complete, answer.summary.worst), (false, None));
    assert!(answer.overview().has_unchecked());
}

#[test]
fn field_s10_a_stale_answer_is_not_complete() {
    let stale = |determination| HashResult {
        stale: true,
        ..answered(&sha1("a"), determination, [None; 3])
    };
    for (determination, worst) in [("Clean", None), ("Malware", Some(Verdict::Malicious))] {
        let answer = LookupAnswer::new(String::new(), vec![stale(determination)]);
        assert_eq!((answer.complete, answer.summary.worst), (false, worst));
        assert!(answer.overview().has_unchecked());
    }
    // The other hash of the file has a fresh answer.
    let (one, two) = (sha1("a"), sha256("b"));
    let fresh = answered(&two, "Clean", [Some(&one), Some(&two), None]);
    assert_eq!(states(&[stale("Clean"), fresh]), [(2, "checked")]);
}

#[test]
fn files_with_different_sha256_stay_apart() {
    let shared = sha1("a");
    let (one, two) = (sha256("b"), sha256("c"));
    let results = [
        answered(&one, "Clean", [Some(&shared), Some(&one), Some(MD5)]),
        answered(&two, "Malware", [Some(&shared), Some(&two), Some(MD5)]),
    ];
    assert_eq!(states(&results).len(), 2);
    let joined = results.map(|result| of_sender(7, result));
    assert_eq!(states(&joined).len(), 2);
}

#[test]
fn the_worst_answer_speaks_for_the_file() {
    let (one, two) = (sha1("a"), sha256("b"));
    let results = [
        of_sender(1, answered(&one, "Unknown", [None; 3])),
        of_sender(1, answered(&two, "Malware", [None, Some(&two), None])),
    ];
    let files = files(&results);
    assert_eq!(files[0].verdict(), Some(Verdict::Malicious));
    assert_eq!(files[0].decisive().hash, two);
    assert_eq!(files[0].hash(), two);
}

proptest! {
    #[test]
    fn the_order_of_the_inputs_does_not_matter(kinds in proptest::collection::vec(0..7usize, 1..12), seed in any::<u64>()) {
        let (one, two) = (sha1("a"), sha256("b"));
        let known = [Some(one.as_str()), Some(two.as_str()), Some(MD5)];
        let make = |kind: usize| match kind {
            0 => answered(&one, "Clean", known),
            1 => answered(&two, "Clean", known),
            2 => invalid(MD5),
            3 => throttled(&sha1("c")),
            4 => answered(&sha1("d"), "Malware", [None; 3]),
            5 => of_sender(1, invalid(&"e".repeat(32))),
            _ => of_sender(1, answered(&sha256("f"), "Unknown", [None; 3])),
        };
        let results: Vec<HashResult> = kinds.iter().map(|kind| make(*kind)).collect();
        let mut shuffled = results.clone();
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let sorted = |results: &[HashResult]| {
            let mut states = states(results);
            states.sort_unstable();
            states
        };
        prop_assert_eq!(sorted(&results), sorted(&shuffled));
        let total: usize = states(&results).iter().map(|(count, _)| count).sum();
        prop_assert_eq!(total, results.len());
    }
}
