//! The comment of an incident: sentences, then a table of the results.
//!
//! The first line says what was **not** checked. The most severe rows come first; rows
//! that do not fit are counted.

use super::words::{why, word};
use crate::hashes::{HashResult, LookupAnswer, Verdict};

/// Most characters of an incident's comment.
/// Source: <https://learn.microsoft.com/azure/sentinel/sentinel-service-limits>
const MAX_COMMENT: usize = 30_000;

/// Room kept for the sentence about rows that did not fit.
const RESERVE: usize = 200;

const CLEAN_MEANS: &str = "Clean means \"no detection by Microsoft\", not an approval.";

/// The columns of the table.
pub(super) const COLUMNS: [&str; 4] = ["Verdict", "Hash", "Devices worldwide", "Why"];

/// The format of a comment. Each part escapes its texts.
pub(super) struct Style {
    /// A sentence.
    pub(super) paragraph: fn(&str) -> String,
    /// The start of the table, up to its first row.
    pub(super) head: fn() -> String,
    /// A row of the table.
    pub(super) row: fn(&[String; 4]) -> String,
    /// The end of the table.
    pub(super) foot: &'static str,
}

/// An answer in a style, at most [`MAX_COMMENT`] characters.
pub(super) fn render(answer: &LookupAnswer, style: &Style) -> String {
    let sentences = answer
        .not_checked()
        .into_iter()
        .chain([answer.counts(), CLEAN_MEANS.to_owned()]);
    let mut text: String = sentences.map(|one| (style.paragraph)(&one)).collect();
    if answer.results.is_empty() {
        return text;
    }
    let mut results: Vec<&HashResult> = answer.results.iter().collect();
    results.sort_by_key(|result| std::cmp::Reverse(urgency(result)));
    text.push_str(&(style.head)());
    let mut characters = text.chars().count();
    let mut left_out = 0;
    for result in results {
        let row = (style.row)(&cells(result));
        let length = row.chars().count();
        if left_out == 0 && characters + length + RESERVE <= MAX_COMMENT {
            characters += length;
            text.push_str(&row);
        } else {
            left_out += 1;
        }
    }
    text.push_str(style.foot);
    if left_out > 0 {
        text.push_str(&(style.paragraph)(&format!(
            "{left_out} of {} rows are left out here.",
            answer.results.len()
        )));
    }
    text
}

/// The order of the rows: verdicts by severity, what was not checked before Unknown.
fn urgency(result: &HashResult) -> u8 {
    match result.verdict {
        Some(Verdict::Malicious) => 4,
        Some(Verdict::Suspicious) => 3,
        None => 2,
        Some(Verdict::Unknown) => 1,
        Some(Verdict::Clean) => 0,
    }
}

fn cells(result: &HashResult) -> [String; 4] {
    let file = result.file.as_ref();
    let devices = file.and_then(|file| file.global_prevalence);
    [
        word(result),
        result.hash.clone(),
        devices.map(|count| count.to_string()).unwrap_or_default(),
        why(result),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{HashKind, ItemError, ItemStatus, result::samples::verified};

    fn throttled() -> HashResult {
        let detail = "ask again later".to_owned();
        let error = ItemError {
            code: "upstream_throttled".into(),
            detail,
            retry_after_seconds: None,
            cause: String::new(),
        };
        HashResult::unanswered("cd", HashKind::Sha1, ItemStatus::Throttled, error)
    }

    fn answer(results: Vec<HashResult>) -> LookupAnswer {
        LookupAnswer::new("2026-11-23T10:00:00Z".to_owned(), results)
    }

    #[test]
    fn a_comment_says_first_what_was_not_checked_and_shows_the_worst_first() {
        let markdown = answer(vec![
            verified("Clean", ""),
            throttled(),
            verified("Malware", "Trojan:Win32/X"),
        ])
        .to_markdown();
        insta::assert_snapshot!(markdown, @r#"
        1 of 3 hashes NOT checked: ask again later

        Microsoft Defender on 3 hashes: 1 malicious, 0 suspicious, 0 unknown, 1 clean \(as of 2026-11-23T10:00:00Z\).

        Clean means "no detection by Microsoft", not an approval.

        | Verdict | Hash | Devices worldwide | Why |
        |---|---|---|---|
        | Malicious | abababababababababababababababababababab |  | Microsoft determined malware: Trojan:Win32/X |
        | NOT CHECKED | cd |  | ask again later |
        | Clean | abababababababababababababababababababab |  | no detection by Microsoft; not an approval |
        "#);
    }

    #[test]
    fn d05_a_comment_is_escaped_and_stays_within_the_limit() {
        let row = verified("Malware", "<img src=x onerror=alert(1)>");
        let html = answer(vec![row; 1_000]).to_html();
        assert!(!html.contains("<img") && html.contains("&lt;img"));
        assert!(
            html.chars().count() <= MAX_COMMENT,
            "{}",
            html.chars().count()
        );
        assert!(
            html.contains("of 1000 rows are left out here."),
            "{}",
            &html[html.len() - 200..]
        );
        assert!(html.matches("<tr>").count() > 50 && html.contains("</table>"));
    }

    #[test]
    fn an_answer_without_rows_says_so() {
        assert_eq!(
            answer(vec![]).to_html(),
            "<p>Microsoft Defender on 0 hashes: 0 malicious, 0 suspicious, 0 unknown, 0 clean (as of 2026-11-23T10:00:00Z).</p>\
             <p>Clean means &quot;no detection by Microsoft&quot;, not an approval.</p>"
        );
    }
}
