//! Words of ASCII letters and digits, and what they look like.

use super::{
    HashLike, Likeness, MIN_DIGITS,
    columns::Columns,
    label::{self, Label},
};

/// Lengths of complete hashes.
pub(super) const COMPLETE: [usize; 3] = [32, 40, 64];

/// Longest word that is kept, in characters.
const MAX_WORD: usize = 512;

/// Labels that tables without borders glue to a hash.
const GLUED: [(&str, Label); 7] = [
    ("sha256ac", Label::Authenticode),
    ("sha256", Label::FileHash),
    ("sha1", Label::FileHash),
    ("md5", Label::FileHash),
    ("imphash", Label::Other),
    ("authentihash", Label::Other),
    ("0x", Label::FileHash),
];

/// The words of a reading that look like a hash.
pub(super) fn read(text: &str) -> Vec<HashLike> {
    let columns = Columns::of(text);
    let mut found: Vec<HashLike> = Vec::new();
    let (mut last_end, mut files) = (None, 0);
    for (start, word) in words(text) {
        if word.len() < MIN_DIGITS {
            continue;
        }
        let Some((digits, likeness, glued)) = look(word) else {
            continue;
        };
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let label = glued
            .or_else(|| label::before(&text[line_start..start]))
            .or_else(|| columns.label(text, line_start, start));
        let is_same = last_end.is_some_and(|end| joins_digests(&text[end..start]));
        match found.last_mut() {
            Some(last) if is_same => last.file = last.file.or(Some(files)),
            _ => files += 1,
        }
        found.push(HashLike {
            text: digits.chars().take(MAX_WORD).collect(),
            likeness: labeled(likeness, label),
            file: is_same.then_some(files),
        });
        last_end = Some(start + word.len());
    }
    found
}

/// Returns true for the text between two digests of one file, such as `,MD5=`.
fn joins_digests(between: &str) -> bool {
    let name = between
        .strip_prefix(',')
        .and_then(|rest| rest.trim_start().strip_suffix('='));
    name.is_some_and(|name| label::label_of(name).is_some() && !name.contains('\n'))
}

fn labeled(likeness: Likeness, label: Option<Label>) -> Likeness {
    match (label, likeness) {
        (Some(Label::Other), _) => Likeness::OtherDigest,
        (Some(Label::Authenticode), Likeness::Complete) => Likeness::Authenticode,
        _ => likeness,
    }
}

/// The words of a text with their places.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        (start < at).then(|| (start, &text[start..at]))
    })
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The digits of a word that look like a hash, how much, and the label glued to them.
fn look(word: &str) -> Option<(&str, Likeness, Option<Label>)> {
    if is_hex(word) {
        let likeness = match COMPLETE.contains(&word.len()) {
            true => Likeness::Complete,
            false => Likeness::Broken(word.len()),
        };
        return Some((word, likeness, None));
    }
    for (label, meaning) in GLUED {
        if let Some(rest) = word.strip_prefix(label)
            && is_hex(rest)
            && COMPLETE.contains(&rest.len())
        {
            return Some((rest, Likeness::Complete, Some(meaning)));
        }
    }
    let longest = longest_hex_run(word);
    (longest >= MIN_DIGITS).then_some((word, Likeness::Broken(longest), None))
}

fn longest_hex_run(word: &str) -> usize {
    let runs = word.split(|c: char| !c.is_ascii_hexdigit());
    runs.map(str::len).max().unwrap_or_default()
}
