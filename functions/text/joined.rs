//! Hashes that a line end or blanks have broken.

use super::{
    HashLike, Likeness,
    token::{COMPLETE, is_hex, words},
};

/// Most parts of a hash over lines.
const MAX_PARTS: usize = 16;

/// A run of hexadecimal digits on a line.
struct Run<'a> {
    digits: &'a str,
    /// The number of the line that it is on.
    line: usize,
    /// True if nothing but blanks and quote marks is before it on the line.
    is_first: bool,
    /// True if nothing but blanks is after it on the line.
    is_last: bool,
    /// The text up to the next word.
    gap: &'a str,
}

/// Hashes whose digits are joined.
pub(super) fn read(text: &str) -> Vec<HashLike> {
    let runs = runs(text);
    over_lines(&runs)
        .into_iter()
        .chain(in_groups(&runs))
        .map(|(digits, likeness)| HashLike {
            text: digits,
            likeness,
            file: None,
        })
        .collect()
}

fn runs(text: &str) -> Vec<Run<'_>> {
    let all: Vec<(usize, &str)> = words(text).collect();
    let mut runs = Vec::new();
    let (mut line, mut counted) = (0, 0);
    for (index, (start, word)) in all.iter().enumerate() {
        line += text[counted..*start].matches('\n').count();
        counted = *start;
        if !is_hex(word) {
            continue;
        }
        let end = start + word.len();
        let before = match index.checked_sub(1).map(|last| all[last]) {
            Some((at, last)) => &text[at + last.len()..*start],
            None => &text[..*start],
        };
        let next = all.get(index + 1).map_or(text.len(), |(at, _)| *at);
        let gap = &text[end..next];
        let own_line = before.rsplit('\n').next().unwrap_or_default();
        let starts_line = before.contains('\n') || index == 0;
        let is_blank = |part: &str| part.chars().all(|c| " \t>|*".contains(c));
        runs.push(Run {
            digits: word,
            line,
            is_first: starts_line && is_blank(own_line),
            is_last: gap.split_once('\n').is_some_and(|(rest, _)| is_blank(rest))
                || (next == text.len() && is_blank(gap)),
            gap,
        });
    }
    runs
}

/// Runs at the end of a line that continue on the next ones.
fn over_lines(runs: &[Run<'_>]) -> Vec<(String, Likeness)> {
    let mut found = Vec::new();
    for first in 0..runs.len() {
        if !runs[first].is_last {
            continue;
        }
        let mut sum = runs[first].digits.len();
        for last in first + 1..runs.len().min(first + MAX_PARTS) {
            let (before, run) = (&runs[last - 1], &runs[last]);
            let continues = before.is_last && run.is_first && run.line == before.line + 1;
            if !continues {
                break;
            }
            sum += run.digits.len();
            let parts = &runs[first..=last];
            if sum > 64 {
                break;
            }
            if (sum == 40 || sum == 64) && is_wrapped(parts, sum) {
                let digits = parts.iter().map(|run| run.digits).collect();
                found.push((digits, Likeness::Complete));
            }
            // Only a line of its own can be in the middle.
            if !run.is_last {
                break;
            }
        }
    }
    found
}

/// Returns true if the parts can be one hash. Two complete hashes are two, and a wrapped
/// text has lines of one width.
fn is_wrapped(parts: &[Run<'_>], sum: usize) -> bool {
    let lengths: Vec<usize> = parts.iter().map(|run| run.digits.len()).collect();
    let (first, last) = (lengths[0], lengths[lengths.len() - 1]);
    if lengths.len() == 2 {
        let is_other_hash = first == 32 || (last == 32) || (first == 40 && sum == 40);
        return !is_other_hash;
    }
    let middle = &lengths[1..lengths.len() - 1];
    let width = middle[0];
    middle.iter().all(|length| *length == width) && first <= width && last <= width
}

/// Digits in groups of one width with one sign between them, as old tools print bytes.
fn in_groups(runs: &[Run<'_>]) -> Vec<(String, Likeness)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < runs.len() {
        let (width, gap) = (runs[at].digits.len(), runs[at].gap);
        let mut end = at;
        if [2, 4, 8].contains(&width) && [" ", ":", "-"].contains(&gap) {
            while end + 1 < runs.len()
                && runs[end].gap == gap
                && runs[end + 1].digits.len() == width
            {
                end += 1;
            }
        }
        let digits: String = runs[at..=end].iter().map(|run| run.digits).collect();
        let has_letter = digits.bytes().any(|byte| byte.is_ascii_alphabetic());
        if end > at && has_letter {
            if COMPLETE.contains(&digits.len()) {
                found.push((digits, Likeness::Complete));
            } else if digits.len() >= 32 {
                let count = digits.len();
                found.push((digits, Likeness::Broken(count)));
            }
        }
        at = end + 1;
    }
    found
}
