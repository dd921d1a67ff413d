//! An answer in the format of STAT, the triage assistant for Sentinel, so that its users
//! can switch one step of a playbook.
//!
//! Source: <https://github.com/briandelmsft/SentinelAutomationModules>

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::words::{why, word};
use crate::hashes::{HashResult, LookupAnswer, Verdict};

/// The input of STAT's scoring module from a custom module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StatAnswer {
    /// `Custom`.
    pub module_name: &'static str,
    /// Points and what they are for.
    pub scoring_data: Vec<StatScore>,
    /// Hashes with a verdict.
    pub analyzed_entities: usize,
    /// Hashes without one.
    pub not_checked_count: usize,
    /// True if every hash was checked.
    pub complete: bool,
}

/// Points of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StatScore {
    /// 10 a malicious file, 5 a suspicious one, 0 for what was not checked.
    pub score: u8,
    /// The reason for the points.
    pub score_label: String,
}

impl LookupAnswer {
    /// The input of STAT's scoring module: 10 points for a malicious file, 5 for a
    /// suspicious one, 0 for an unknown one. Hashes that were not checked are named, and
    /// score 0.
    pub fn to_stat(&self) -> StatAnswer {
        let mut seen = HashSet::new();
        // Both hashes of a file, or one that is there twice, score once.
        let scored = self
            .results
            .iter()
            .filter(|result| score(result) > 0 && seen.insert(file_of(result)));
        let scored = scored.map(|result| StatScore {
            score: score(result),
            score_label: format!("{}: {} ({})", word(result), why(result), result.hash),
        });
        let unchecked = self.not_checked().map(|text| StatScore {
            score: 0,
            score_label: text,
        });
        let not_checked_count = self.summary.failed + self.summary.invalid;
        StatAnswer {
            module_name: "Custom",
            scoring_data: scored.chain(unchecked).collect(),
            analyzed_entities: self.summary.total - not_checked_count,
            not_checked_count,
            complete: self.complete,
        }
    }
}

fn score(result: &HashResult) -> u8 {
    match result.verdict {
        Some(Verdict::Malicious) => 10,
        Some(Verdict::Suspicious) => 5,
        _ => 0,
    }
}

/// The hash that all results of one file share.
fn file_of(result: &HashResult) -> String {
    let file = result.file.as_ref();
    let hash = file.and_then(|file| file.sha256.clone().or_else(|| file.sha1.clone()));
    hash.unwrap_or_else(|| result.hash.clone())
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{Observable, result::samples::verified};

    #[test]
    fn stat_scores_what_was_found_and_names_what_was_not_checked() {
        let invalid = HashResult::invalid(&Observable::parse("zz")).unwrap();
        let other = HashResult {
            hash: "cd".repeat(20),
            ..verified("Pua", "")
        };
        let results = vec![
            verified("Malware", ""),
            verified("Malware", ""),
            other,
            verified("Clean", ""),
            invalid,
        ];
        let stat = LookupAnswer::new(String::new(), results).to_stat();
        let scores: Vec<u8> = stat.scoring_data.iter().map(|item| item.score).collect();
        assert_eq!(scores, [10, 5, 0]);
        assert_eq!((stat.module_name, stat.not_checked_count), ("Custom", 1));
        assert!(stat.scoring_data[2].score_label.contains("NOT checked"));
        let json = serde_json::to_value(&stat.scoring_data[0]).unwrap();
        assert!(
            json["ScoreLabel"]
                .as_str()
                .unwrap()
                .starts_with("Malicious: ")
        );
    }
}
