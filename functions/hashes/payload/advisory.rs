//! Hashes in an advisory, as it was pasted.
//!
//! A hash is a complete word of 32, 40 or 64 hexadecimal digits, also with its label in
//! front (`SHA1ff2f...`, where a table lost its borders). Digits inside a longer run of
//! letters and digits are not a hash. Each hash is reported once.
//!
//! HTML is read twice, so that no hash is lost to a tag: once with every tag as text
//! between blanks, and once without the tags inside a word.

use std::collections::HashSet;

use crate::{hashes::Observable, report::text::hides};

/// Longest tag in bytes.
const MAX_TAG: usize = 2_048;

/// Labels that pasted tables glue to a hash, with the length of its digits.
const LABELS: [(&str, usize); 6] = [
    ("sha256", 64),
    ("sha1", 40),
    ("md5", 32),
    ("0x", 64),
    ("0x", 40),
    ("0x", 32),
];

/// The hashes of a text or of HTML, in the order they appear.
pub(super) fn hashes(text: &str) -> Vec<Observable> {
    let text = plain(text);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for reading in [&text, &without_inline_tags(&text)] {
        let words = reading
            .split(|c: char| !c.is_alphanumeric())
            .filter_map(hash_of_word);
        found.extend(
            words
                .filter(|hash| seen.insert((*hash).to_owned()))
                .map(Observable::parse),
        );
    }
    found
}

fn hash_of_word(word: &str) -> Option<&str> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if [32, 40, 64].contains(&word.len()) && is_hex(word) {
        return Some(word);
    }
    LABELS.into_iter().find_map(|(label, digits)| {
        let rest = word.strip_prefix(label)?;
        (rest.len() == digits && is_hex(rest)).then_some(rest)
    })
}

/// The text in lowercase, without invisible characters, with character references read and
/// labels in one spelling.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at += c.len_utf8();
        let c = if c == '&' {
            let (read, length) = reference(&text[at..]);
            at += length;
            read
        } else {
            c
        };
        match c {
            c if c.is_control() => plain.push(' '),
            c if hides(c) => {}
            c => plain.push(c.to_ascii_lowercase()),
        }
    }
    let spellings = [
        ("sha-256", " sha256"),
        ("sha_256", " sha256"),
        ("sha-1", " sha1"),
        ("sha_1", " sha1"),
    ];
    spellings
        .into_iter()
        .fold(plain, |text, (spelling, label)| {
            text.replace(spelling, label)
        })
}

/// The character of a reference after `&`, and its length; a blank if it cannot be part of
/// a hash.
fn reference(rest: &str) -> (char, usize) {
    const INVISIBLE: [&str; 7] = [
        "shy",
        "zwnj",
        "zwj",
        "nobreak",
        "zerowidthspace",
        "lrm",
        "rlm",
    ];
    let Some(end) = rest
        .bytes()
        .take(16)
        .position(|byte| byte == b';')
        .filter(|end| *end > 0)
    else {
        return (' ', 0);
    };
    let name = rest[..end].to_ascii_lowercase();
    let number = name
        .strip_prefix("#x")
        .map(|hex| u32::from_str_radix(hex, 16));
    let number = number.or_else(|| name.strip_prefix('#').map(str::parse));
    match number {
        Some(Ok(code)) => (char::from_u32(code).unwrap_or(' '), end + 1),
        Some(Err(_)) => (' ', 0),
        None if INVISIBLE.contains(&name.as_str()) => ('\u{200B}', end + 1),
        None if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => (' ', end + 1),
        None => (' ', 0),
    }
}

/// The text without the tags that can stand inside a word.
fn without_inline_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut tags = Tags { text, close: None };
    let mut at = 0;
    while let Some(open) = text[at..].find('<').map(|offset| at + offset) {
        plain.push_str(&text[at..open]);
        at = open + 1;
        match tags.end(at) {
            Some(end) if is_inline(&text[at..end]) => at = end + 1,
            _ => plain.push(' '),
        }
    }
    plain.push_str(&text[at..]);
    plain
}

/// Finds the ends of tags in one pass over the text.
struct Tags<'a> {
    text: &'a str,
    /// The first `>` behind the last place that was asked about.
    close: Option<usize>,
}

impl Tags<'_> {
    /// The end of the tag that begins at `start`; `None` if there is no tag.
    fn end(&mut self, start: usize) -> Option<usize> {
        if self.close.is_none_or(|close| close < start) {
            let next = self.text[start..]
                .find('>')
                .map_or(usize::MAX, |offset| start + offset);
            self.close = Some(next);
        }
        let close = self
            .close
            .filter(|close| *close < start.saturating_add(MAX_TAG))?;
        (!self.text[start..close].contains('<')).then_some(close)
    }
}

fn is_inline(tag: &str) -> bool {
    const INLINE: [&str; 8] = ["wbr", "b", "i", "em", "strong", "span", "font", "mark"];
    let name = tag
        .trim_start_matches('/')
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next();
    name.is_some_and(|name| INLINE.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";
    const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";
    const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

    fn texts(text: &str) -> Vec<String> {
        hashes(text).into_iter().map(|input| input.text).collect()
    }

    #[test]
    fn hashes_are_found_in_prose_tables_and_html() {
        let upper = SHA256.to_uppercase();
        for text in [
            format!("The file {SHA256}."),
            format!("({upper})"),
            format!("sha256:{SHA256}, SHA-256={SHA256}"),
            format!("| ss2.stubbin | {SHA256} |"),
            format!("<td class=\"x\">{SHA256}</td>"),
            format!("<b>{}</b>{}", &SHA256[..10], &SHA256[10..]),
            format!("{}&#8203;{}", &SHA256[..10], &SHA256[10..]),
            format!(
                "{}\u{200b}{}\u{ad}{}",
                &SHA256[..10],
                &SHA256[10..20],
                &SHA256[20..]
            ),
            format!("a\u{a0}{SHA256}\u{a0}b&nbsp;c"),
            format!("hxxps://evil[.]example/{SHA256}/x"),
            format!("Type data\nSHA256{SHA256}\n"),
            format!("1 < 2 and {SHA256} > 1"),
            format!("a <b and {SHA256}, <i>x</i>"),
            format!("a <b {} {SHA256} >", "x ".repeat(2_000)),
        ] {
            assert_eq!(texts(&text), [SHA256], "{text}");
        }
    }

    #[test]
    fn no_hash_is_lost_to_a_tag_a_label_or_a_reference() {
        let starts_with_a_letter =
            "a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb";
        for text in [
            format!("Hash: <{starts_with_a_letter}>"),
            format!("versions <v2 with {starts_with_a_letter} > 1"),
            format!(
                "<a href=\"https://www.virustotal.com/gui/file/{starts_with_a_letter}\">VT</a>"
            ),
            format!("SHA-256{starts_with_a_letter}"),
            format!("0x{starts_with_a_letter}"),
            format!(
                "{}&#x200B;{}&ZWJ;{}\u{2061}{}",
                &starts_with_a_letter[..5],
                &starts_with_a_letter[5..9],
                &starts_with_a_letter[9..20],
                &starts_with_a_letter[20..]
            ),
            format!("<strong>File</strong><span>{starts_with_a_letter}</span>"),
        ] {
            assert_eq!(texts(&text), [starts_with_a_letter], "{text}");
        }
        assert_eq!(
            texts(&format!("<span>{SHA256}</span><span>{SHA1}</span>")),
            [SHA256, SHA1]
        );
        assert_eq!(texts(&format!("SHA-1{SHA1}")), [SHA1]);
    }

    #[test]
    fn labels_glued_to_a_hash_are_told_from_its_digits() {
        assert_eq!(
            texts(&format!("MD5{MD5}\nSHA1{SHA1}\nSHA256{SHA256}")),
            [MD5, SHA1, SHA256]
        );
    }

    #[test]
    fn a_hash_inside_a_longer_run_is_none() {
        for text in [
            format!("{SHA256}0"),
            format!("g{SHA256}"),
            format!("{SHA256}{SHA256}"),
            format!("{SHA256}é"),
        ] {
            assert_eq!(texts(&text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(texts("no hash here, <script"), Vec::<String>::new());
    }

    #[test]
    fn each_hash_is_taken_once() {
        assert_eq!(
            texts(&format!("{SHA1} {} {SHA1}", SHA1.to_uppercase())),
            [SHA1]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>()) {
            hashes(&text);
        }

        #[test]
        fn a_hash_between_blanks_is_found_in_any_text_without_tags(before in "[^<>&]*", after in "[^<>&]*") {
            let found = texts(&format!("{before} {SHA256} {after}"));
            prop_assert!(found.contains(&SHA256.to_owned()));
        }
    }
}
