//! The comment of an incident, from which HTML, Markdown and plain text are made.
//!
//! The verdict comes first, then what was checked, then each file, the most severe first.
//! Files that do not fit are counted.

use super::{details, sentences::CLEAN_MEANS};
use crate::{
    hashes::{FileAnswer, HashResult, LookupAnswer, Verdict},
    report::text::counted,
};

/// Most characters of an incident's comment.
/// Source: <https://learn.microsoft.com/azure/sentinel/sentinel-service-limits>
const MAX_COMMENT: usize = 30_000;

/// Room kept for the sentences below the files.
const RESERVE: usize = 400;

/// Longest name of a file, in characters, so that it fits the pane of an incident.
const MAX_NAME: usize = 60;

/// Digits of a hash that is a link.
const SHORT: usize = 12;

/// A format of a comment. Each part escapes its texts.
pub(super) struct Style {
    /// The verdict sentence and the sentences that follow it.
    pub(super) head: fn(&str, &[String]) -> String,
    /// The start of the list of files.
    pub(super) start: &'static str,
    /// A file.
    pub(super) row: fn(&Row) -> String,
    /// The end of the list of files.
    pub(super) end: &'static str,
    /// A sentence below the files.
    pub(super) foot: fn(&str) -> String,
}

/// A file of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The verdict, or `NOT CHECKED`.
    pub(super) word: String,
    /// The SHA-256 where it is known, else the hash as asked.
    pub(super) hash: String,
    /// The file in the Defender portal; `None` if Defender has no record of it.
    pub(super) url: Option<String>,
    /// The sender's name of the file.
    pub(super) name: Option<String>,
    /// Reason, signer, findings.
    pub(super) details: Vec<String>,
    /// The next step.
    pub(super) next: Option<String>,
}

impl Row {
    fn of(file: &FileAnswer<'_>) -> Self {
        let result = file.decisive();
        let actions = &result.next_actions;
        let page = actions.iter().find(|next| next.action == "open_file_page");
        let url = page.and_then(|page| page.portal_url.clone());
        Self {
            word: details::word(file),
            hash: file.hash().to_owned(),
            url,
            name: file.name().map(shortened),
            details: details::details(file),
            next: next_step(result),
        }
    }

    /// The lines below the first one: details, and the next step.
    pub(super) fn lines(&self) -> Vec<String> {
        let next = self.next.as_ref().map(|next| format!("Do next: {next}"));
        self.details.iter().cloned().chain(next).collect()
    }

    /// The text of the link: a few digits, because the link has all of them.
    pub(super) fn short(&self) -> String {
        format!("{}…", self.hash.get(..SHORT).unwrap_or(&self.hash))
    }
}

/// The most urgent action; nothing is left to do for a Clean file without findings.
fn next_step(result: &HashResult) -> Option<String> {
    let first = result.next_actions.first()?;
    let is_link = first.action == "open_file_page";
    (!is_link).then(|| first.title.clone().into_owned())
}

/// A name in at most [`MAX_NAME`] characters, with its end, which has the extension.
fn shortened(name: &str) -> String {
    const END: usize = 12;
    let length = name.chars().count();
    if length <= MAX_NAME {
        return name.to_owned();
    }
    let start: String = name.chars().take(MAX_NAME - END - 1).collect();
    let end: String = name.chars().skip(length - END).collect();
    format!("{start}…{end}")
}

/// An answer in a style, at most [`MAX_COMMENT`] characters.
pub(super) fn render(answer: &LookupAnswer, style: &Style) -> String {
    let overview = answer.overview();
    let mut files = overview.files().to_vec();
    files.sort_by_key(|file| std::cmp::Reverse(urgency(file)));
    let facts = overview.facts().into_iter();
    let facts: Vec<String> = facts.chain(overview.without_hash()).collect();
    let mut text = (style.head)(&overview.lead(), &facts);
    let mut characters = text.chars().count();
    let mut left_out = 0;
    let mut rows = String::new();
    for file in &files {
        let row = (style.row)(&Row::of(file));
        let length = row.chars().count();
        if left_out == 0 && characters + length + RESERVE <= MAX_COMMENT {
            characters += length;
            rows.push_str(&row);
        } else {
            left_out += 1;
        }
    }
    if !rows.is_empty() {
        text.push_str(style.start);
        text.push_str(&rows);
        text.push_str(style.end);
    }
    if left_out > 0 {
        let of = counted(files.len(), "file is", "files are");
        text.push_str(&(style.foot)(&format!(
            "{left_out} of {of} not listed here."
        )));
    }
    if overview.has_clean() {
        text.push_str(&(style.foot)(CLEAN_MEANS));
    }
    text
}

/// The order of the files: verdicts by severity, what was not checked before Unknown.
fn urgency(file: &FileAnswer<'_>) -> u8 {
    match (file.verdict(), file.is_checked()) {
        (Some(Verdict::Malicious), _) => 4,
        (Some(Verdict::Suspicious), _) => 3,
        (_, false) => 2,
        (Some(Verdict::Unknown), _) => 1,
        (Some(Verdict::Clean) | None, _) => 0,
    }
}

#[cfg(test)]
mod tests;
