//! The verdict on a file: rule set 1, as one table.
//!
//! Only the determination decides. Prevalence, signer, alerts and the tenant's own
//! Indicators are evidence, never part of the verdict. The values of `determinationType`
//! are not published, so a word that is not in the table is `Unknown`, with a reason that
//! says so.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FileProfile;

/// Version of the rules below, JSON `ruleSet`; changes when a verdict could.
pub const RULE_SET: &str = "1";

/// The verdict on a file. Ordered by severity, the least severe first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum Verdict {
    /// No detection by Microsoft. Not an approval.
    Clean,
    /// Microsoft has no determination, or one that the rules do not know.
    Unknown,
    /// Unwanted software, or a threat name without a malicious determination.
    Suspicious,
    /// Microsoft determined malware.
    Malicious,
}

impl Verdict {
    /// The word of the JSON answer: `Malicious`, `Suspicious`, `Unknown`, `Clean`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "Clean",
            Self::Unknown => "Unknown",
            Self::Suspicious => "Suspicious",
            Self::Malicious => "Malicious",
        }
    }
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Stable code, such as `determination_malware` or `not_seen`.
    pub code: Cow<'static, str>,
    /// One sentence for a person.
    pub text: String,
}

/// One row of the rules: words of `determinationType`, in lower case, and what
/// follows from them.
struct Rule {
    words: &'static [&'static str],
    verdict: Verdict,
    code: &'static str,
    meaning: &'static str,
}

#[rustfmt::skip]
const RULES: [Rule; 4] = [
    Rule { words: &["malware", "malicious", "virus", "trojan"],
           verdict: Verdict::Malicious,  code: "determination_malware",    meaning: "Microsoft determined malware" },
    Rule { words: &["pua", "unwanted", "unwantedsoftware"],
           verdict: Verdict::Suspicious, code: "determination_pua",        meaning: "Microsoft determined unwanted software" },
    Rule { words: &["suspicious"],
           verdict: Verdict::Suspicious, code: "determination_suspicious", meaning: "Microsoft determined a suspicious file" },
    Rule { words: &["clean", "benign"],
           verdict: Verdict::Clean,      code: "determination_clean",      meaning: "no detection by Microsoft; not an approval" },
];

/// Words of `determinationType` that say that there is none.
const NO_DETERMINATION: [&str; 2] = ["", "unknown"];

/// Words of `determinationValue` that name no threat, by their letters and digits.
const NO_THREAT: [&str; 12] = [
    "",
    "unknown",
    "clean",
    "benign",
    "none",
    "no",
    "nothreat",
    "null",
    "na",
    "notavailable",
    "notapplicable",
    "undefined",
];

/// The verdict on a file that Defender knows, with its reasons, the one that
/// decided first. Never empty.
pub fn judge(profile: &FileProfile) -> (Verdict, Vec<Reason>) {
    let (mut verdict, decided) = by_determination(profile);
    let mut reasons = vec![decided];
    if let Some(word) = profile
        .file_classification
        .as_deref()
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let classified = rule(word).map_or(Verdict::Unknown, |rule| rule.verdict);
        let text = format!(
            "`fileClassification` is {word}, which counts as {}",
            classified.as_str()
        );
        let reason = Reason {
            code: "file_classification".into(),
            text,
        };
        let decides = classified > verdict;
        verdict = verdict.max(classified);
        reasons.insert(if decides { 0 } else { 1 }, reason);
    }
    (verdict, reasons)
}

/// The verdict on a file that Microsoft has never seen.
pub fn judge_not_seen() -> (Verdict, Vec<Reason>) {
    let text = "Microsoft Defender has no record of a file with this hash yet".to_owned();
    (
        Verdict::Unknown,
        vec![Reason {
            code: "not_seen".into(),
            text,
        }],
    )
}

fn by_determination(profile: &FileProfile) -> (Verdict, Reason) {
    let word = profile
        .determination_type
        .as_deref()
        .unwrap_or_default()
        .trim();
    let threat = profile
        .determination_value
        .as_deref()
        .map(str::trim)
        .filter(|value| names_threat(value));
    let (verdict, code, text) = match (rule(word), threat) {
        (Some(rule), Some(threat)) if rule.verdict == Verdict::Clean => (
            Verdict::Suspicious,
            "conflicting_determination",
            format!(
                "`determinationType` is {word}, yet `determinationValue` names the threat {threat}"
            ),
        ),
        (Some(rule), Some(threat)) => (
            rule.verdict,
            rule.code,
            format!("{}: {threat}", rule.meaning),
        ),
        (Some(rule), None) => (rule.verdict, rule.code, rule.meaning.to_owned()),
        (None, Some(threat)) => (
            Verdict::Suspicious,
            "threat_name_only",
            format!(
                "no malicious determination, yet `determinationValue` names the threat {threat}"
            ),
        ),
        (None, None) if NO_DETERMINATION.contains(&word.to_ascii_lowercase().as_str()) => (
            Verdict::Unknown,
            "no_determination",
            "Microsoft has no determination for this file".to_owned(),
        ),
        (None, None) => (
            Verdict::Unknown,
            "unrecognised_determination",
            format!("`determinationType` is {word}, which these rules do not know"),
        ),
    };
    (
        verdict,
        Reason {
            code: code.into(),
            text,
        },
    )
}

fn rule(word: &str) -> Option<&'static Rule> {
    let word = word.trim().to_ascii_lowercase();
    RULES
        .iter()
        .find(|rule| rule.words.contains(&word.as_str()))
}

fn names_threat(value: &str) -> bool {
    let letters = value.chars().filter(|c| c.is_alphanumeric());
    let word: String = letters.flat_map(char::to_lowercase).collect();
    !NO_THREAT.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn profile(
        kind: Option<&str>,
        value: Option<&str>,
        classification: Option<&str>,
    ) -> FileProfile {
        FileProfile {
            determination_type: kind.map(str::to_owned),
            determination_value: value.map(str::to_owned),
            file_classification: classification.map(str::to_owned),
            ..FileProfile::default()
        }
    }

    #[track_caller]
    fn check(kind: Option<&str>, value: Option<&str>, verdict: Verdict, code: &str) {
        let (actual, reasons) = judge(&profile(kind, value, None));
        assert_eq!(
            (actual, &*reasons[0].code),
            (verdict, code),
            "{kind:?} {value:?}"
        );
    }

    #[test]
    fn field_h15_a_word_for_no_threat_names_none() {
        use Verdict::{Clean, Unknown};
        let words = [
            "N/A",
            "n/a",
            "-",
            "--",
            " NONE ",
            "Not available",
            "not-applicable",
            "null",
            "(none)",
        ];
        for none in words {
            check(Some("Clean"), Some(none), Clean, "determination_clean");
            check(None, Some(none), Unknown, "no_determination");
        }
    }

    #[test]
    fn every_row_of_the_rules_gives_its_verdict_and_reason() {
        use Verdict::{Clean, Malicious, Suspicious, Unknown};
        for word in ["Malware", "MALICIOUS", "virus", "Trojan"] {
            check(Some(word), None, Malicious, "determination_malware");
            check(
                Some(word),
                Some("Clean"),
                Malicious,
                "determination_malware",
            );
        }
        let pua = Some("PUA:Win32/FusionCore");
        for word in ["Pua", "Unwanted", "UnwantedSoftware"] {
            check(Some(word), pua, Suspicious, "determination_pua");
        }
        check(
            Some("Suspicious"),
            None,
            Suspicious,
            "determination_suspicious",
        );
        let trojan = Some("Trojan:Win32/X");
        for word in ["Clean", "Benign"] {
            check(Some(word), None, Clean, "determination_clean");
            check(
                Some(word),
                Some("NotAvailable"),
                Clean,
                "determination_clean",
            );
            check(Some(word), trojan, Suspicious, "conflicting_determination");
        }
        for word in [None, Some(""), Some("Unknown")] {
            check(word, None, Unknown, "no_determination");
            check(word, Some("None"), Unknown, "no_determination");
            check(word, trojan, Suspicious, "threat_name_only");
        }
        check(Some("Foo"), None, Unknown, "unrecognised_determination");
        check(Some("Foo"), trojan, Suspicious, "threat_name_only");
    }

    #[test]
    fn classification_counts_only_when_it_is_more_severe() {
        let (verdict, reasons) = judge(&profile(Some("Clean"), None, Some("malware")));
        assert_eq!(
            (verdict, &*reasons[0].code),
            (Verdict::Malicious, "file_classification")
        );
        let (verdict, reasons) = judge(&profile(Some("Malware"), None, Some("Clean")));
        assert_eq!(
            (verdict, &*reasons[0].code),
            (Verdict::Malicious, "determination_malware")
        );
        let (verdict, _) = judge(&profile(None, None, Some("Clean")));
        assert_eq!(verdict, Verdict::Unknown);
        for word in ["Foo", "Unknown"] {
            let (verdict, reasons) = judge(&profile(Some("Clean"), None, Some(word)));
            assert_eq!(
                (verdict, &*reasons[0].code),
                (Verdict::Unknown, "file_classification")
            );
        }
        assert_eq!(
            judge(&profile(Some("Clean"), None, Some(" "))).0,
            Verdict::Clean
        );
    }

    #[test]
    fn severity_orders_malicious_suspicious_unknown_clean() {
        assert!(Verdict::Malicious > Verdict::Suspicious);
        assert!(Verdict::Suspicious > Verdict::Unknown && Verdict::Unknown > Verdict::Clean);
    }

    proptest! {
        #[test]
        fn a_threat_name_or_a_classification_never_lowers_a_verdict(
            kind in proptest::option::of("[A-Za-z]{0,12}|Malware|Pua|Clean|Unknown"),
            value in proptest::option::of("[A-Za-z:/]{0,12}|None|Clean"),
            classification in proptest::option::of("[A-Za-z]{0,12}|Malware|Pua|Clean"),
        ) {
            let bare = judge(&profile(kind.as_deref(), None, None)).0;
            let more = judge(&profile(kind.as_deref(), value.as_deref(), classification.as_deref())).0;
            prop_assert!(more >= bare);
        }

        #[test]
        fn prevalence_and_signer_are_no_part_of_the_verdict(seen in any::<u64>(), signer in any::<String>()) {
            let bare = profile(None, None, None);
            let more = FileProfile {
                global_prevalence: Some(seen), signer: Some(signer), is_valid_certificate: Some(true), ..bare.clone()
            };
            prop_assert_eq!(judge(&bare), judge(&more));
        }
    }
}
