//! An answer as text for people: the comment of an incident, in HTML or Markdown.
//!
//! The first line says what was **not** checked. The most severe rows come
//! first; what does not fit is counted, not dropped silently.

use super::{
    Evidence, HashResult, ItemStatus, LookupAnswer, Verdict, evidence::Indicators,
    result::status_word,
};
use crate::report::markup;

/// Most characters of an incident's comment.
/// Source: <https://learn.microsoft.com/azure/sentinel/sentinel-service-limits>
pub const MAX_COMMENT: usize = 30_000;

/// Room kept for the sentence about rows that did not fit.
const RESERVE: usize = 200;

const CLEAN_MEANS: &str = "Clean means \"no detection by Microsoft\", not an approval.";

/// How a row and the text around it are written.
struct Style {
    paragraph: fn(&str) -> String,
    head: &'static str,
    row: fn(&[String; 4]) -> String,
    foot: &'static str,
    escape: fn(&str) -> String,
}

const HTML: Style = Style {
    paragraph: |text| format!("<p>{text}</p>"),
    head: "<table><tr><th>Verdict</th><th>Hash</th><th>Devices worldwide</th><th>Why</th></tr>",
    row: |cells| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cells[0], cells[1], cells[2], cells[3]
        )
    },
    foot: "</table>",
    escape: markup::html,
};

const MARKDOWN: Style = Style {
    paragraph: |text| format!("{text}\n\n"),
    head: "| Verdict | Hash | Devices worldwide | Why |\n|---|---|---|---|\n",
    row: |cells| format!("| {} |\n", cells.join(" | ")),
    foot: "\n",
    escape: markup::markdown,
};

impl LookupAnswer {
    /// The answer as the HTML of an incident's comment, at most
    /// [`MAX_COMMENT`] characters.
    pub fn to_html(&self) -> String {
        self.render(&HTML)
    }

    /// The answer as Markdown, at most [`MAX_COMMENT`] characters.
    pub fn to_markdown(&self) -> String {
        self.render(&MARKDOWN)
    }

    fn render(&self, style: &Style) -> String {
        let paragraph = |text: &str| (style.paragraph)(&(style.escape)(text));
        let mut text: String = self
            .not_checked()
            .iter()
            .map(|line| paragraph(line))
            .collect();
        text.push_str(&paragraph(&self.counts()));
        text.push_str(&paragraph(CLEAN_MEANS));
        if self.results.is_empty() {
            return text;
        }
        let mut rows: Vec<&HashResult> = self.results.iter().collect();
        rows.sort_by_key(|result| std::cmp::Reverse(urgency(result)));
        text.push_str(style.head);
        let mut characters = text.chars().count();
        let mut left_out = 0;
        for result in rows {
            let row = (style.row)(&cells(result).map(|cell| (style.escape)(&cell)));
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
            text.push_str(&paragraph(&format!(
                "{left_out} of {} rows are left out here.",
                self.results.len()
            )));
        }
        text
    }

    /// What was not checked, where something was not.
    pub(super) fn not_checked(&self) -> Option<String> {
        let (failed, invalid, total) = (
            self.summary.failed,
            self.summary.invalid,
            self.summary.total,
        );
        let reason = self
            .results
            .iter()
            .find(|result| result.verdict.is_none())?
            .error
            .as_ref()?;
        Some(format!(
            "{} of {total} hashes NOT checked: {}",
            failed + invalid,
            reason.detail
        ))
    }

    fn counts(&self) -> String {
        let s = &self.summary;
        format!(
            "Microsoft Defender on {} hashes: {} malicious, {} suspicious, {} unknown, {} clean (as of {}).",
            s.total, s.malicious, s.suspicious, s.unknown, s.clean, self.as_of
        )
    }
}

/// What comes first: verdicts by severity, what was not checked before Unknown.
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
    let devices = result
        .file
        .as_ref()
        .and_then(|file| file.global_prevalence)
        .map(|count| count.to_string());
    [
        word(result),
        result.hash.clone(),
        devices.unwrap_or_default(),
        why(result),
    ]
}

pub(super) fn word(result: &HashResult) -> String {
    match (result.verdict, result.status) {
        (Some(verdict), _) if result.stale => format!("{} (stale)", verdict.as_str()),
        (Some(verdict), _) => verdict.as_str().to_owned(),
        (None, ItemStatus::Throttled | ItemStatus::Failed) => "NOT CHECKED".to_owned(),
        (None, status) => status_word(status).to_owned(),
    }
}

pub(super) fn why(result: &HashResult) -> String {
    let reason = result.reasons.first().map(|reason| reason.text.clone());
    let reason = reason.or_else(|| result.error.as_ref().map(|error| error.detail.clone()));
    let mut parts: Vec<String> = reason.into_iter().collect();
    parts.extend(in_this_tenant(&result.evidence));
    parts.join("; ")
}

/// What every source that was asked says, also when it says nothing, and which
/// of them could not be read.
fn in_this_tenant(evidence: &Evidence) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(stats) = evidence
        .stats
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        let seen = stats.organization_prevalence;
        let seen = seen.map_or("an unknown number of".to_owned(), |count| count.to_string());
        parts.push(format!("seen on {seen} devices of this tenant in 30 days"));
    }
    let at_least = |more: bool| if more { "at least " } else { "" };
    if let Some(devices) = evidence
        .devices
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(format!(
            "{}{} devices of this tenant saw it",
            at_least(devices.more),
            devices.count
        ));
    }
    if let Some(alerts) = evidence
        .alerts
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(format!(
            "{}{} alerts of this tenant involve it",
            at_least(alerts.more),
            alerts.count
        ));
    }
    if let Some(found) = evidence
        .indicators
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(indicators(found));
    }
    let errors = evidence.errors().into_iter();
    parts.extend(errors.map(|(source, error)| format!("{source} NOT read ({})", error.code)));
    parts
}

fn indicators(found: &Indicators) -> String {
    let actions: Vec<&str> = found
        .items
        .iter()
        .map(|indicator| {
            indicator
                .action
                .as_deref()
                .unwrap_or("of an unknown action")
        })
        .collect();
    let told = match actions.as_slice() {
        [] => "no Indicator of this tenant".to_owned(),
        actions => format!("Indicator of this tenant: {}", actions.join(", ")),
    };
    if found.own_only {
        format!("{told} (only those that this app made are visible)")
    } else {
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{HashKind, ItemError, result::samples::verified};

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
