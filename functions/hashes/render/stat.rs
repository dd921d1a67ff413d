//! An answer in the format of STAT, the triage assistant for Sentinel, so that its users
//! can switch one step of a playbook.
//!
//! Source: <https://github.com/briandelmsft/SentinelAutomationModules>

use serde::Serialize;
use utoipa::ToSchema;

use super::details::{in_one_line, word};
use crate::hashes::{FileAnswer, LookupAnswer, Verdict};

/// The input of STAT's scoring module from a custom module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StatAnswer {
    /// `Custom`.
    pub module_name: &'static str,
    /// Points and what they are for.
    pub scoring_data: Vec<StatScore>,
    /// Files with a verdict.
    pub analyzed_entities: usize,
    /// Files that were not checked.
    pub not_checked_count: usize,
    /// True if every file was checked.
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
    /// suspicious one. What was not checked is listed with its reason, and scores 0.
    pub fn to_stat(&self) -> StatAnswer {
        let overview = self.overview();
        let files = overview.files();
        let scored = files.iter().filter(|file| score(file) > 0);
        let scored = scored.map(|file| StatScore {
            score: score(file),
            score_label: format!("{}: {} ({})", word(file), in_one_line(file), file.hash()),
        });
        let unchecked = overview.not_checked().into_iter().map(|text| StatScore {
            score: 0,
            score_label: text,
        });
        let checked = files.iter().filter(|file| file.is_checked()).count();
        StatAnswer {
            module_name: "Custom",
            scoring_data: scored.chain(unchecked).collect(),
            analyzed_entities: checked,
            not_checked_count: files.len() - checked,
            complete: !overview.has_unchecked(),
        }
    }
}

fn score(file: &FileAnswer<'_>) -> u8 {
    match file.verdict() {
        Some(Verdict::Malicious) => 10,
        Some(Verdict::Suspicious) => 5,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{HashResult, Observable, result::samples::verified};

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
