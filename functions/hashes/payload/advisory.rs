//! Hashes in an advisory, pasted as it is.
//!
//! A hash is a whole word of 32, 40 or 64 hexadecimal digits, also with its
//! label glued to it (`SHA1ff2f...`, as tables lose their borders). A hash
//! inside a longer run of letters and digits is none. Each is taken once.

use std::collections::HashSet;

use crate::hashes::Observable;

/// Longest tag in bytes.
const MAX_TAG: usize = 2_048;

/// Labels that pasted tables glue to a hash, with the length of its digits.
const LABELS: [(&str, usize); 3] = [("sha256", 64), ("sha1", 40), ("md5", 32)];

/// The hashes of a text or of HTML, in the order they appear.
pub(super) fn hashes(text: &str) -> Vec<Observable> {
    let mut seen = HashSet::new();
    let text = without_markup(text);
    text.split(|c: char| !c.is_alphanumeric())
        .filter_map(hash_of_word)
        .map(str::to_ascii_lowercase)
        .filter(|hash| seen.insert(hash.clone()))
        .map(|hash| Observable::parse(&hash))
        .collect()
}

fn hash_of_word(word: &str) -> Option<&str> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex(word) && [32, 40, 64].contains(&word.len()) {
        return Some(word);
    }
    LABELS.into_iter().find_map(|(label, digits)| {
        let (head, rest) = word.split_at_checked(label.len())?;
        (head.eq_ignore_ascii_case(label) && rest.len() == digits && is_hex(rest)).then_some(rest)
    })
}

/// The text without characters that nobody sees, and with tags and character
/// references of HTML as blanks.
fn without_markup(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut tags = Tags { text, close: None };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at += c.len_utf8();
        match c {
            '<' => {
                if let Some(end) = tags.end(at) {
                    if !is_invisible_tag(&text[at..end]) {
                        plain.push(' ');
                    }
                    at = end + 1;
                }
            }
            '&' => {
                let (read, length) = reference(&text[at..]);
                plain.push_str(read);
                at += length;
            }
            '\u{200B}'..='\u{200F}'
            | '\u{2060}'
            | '\u{FEFF}'
            | '\u{00AD}'
            | '\u{202A}'..='\u{202E}' => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Finds the ends of tags in one pass over the text.
struct Tags<'a> {
    text: &'a str,
    /// The first `>` behind the last place that was asked about.
    close: Option<usize>,
}

impl Tags<'_> {
    /// Where the tag ends that begins at `start`; `None` where none does.
    ///
    /// A tag begins with a letter, `/` or `!`, is not long and holds no other
    /// `<`: else hashes behind a stray sign would be lost.
    fn end(&mut self, start: usize) -> Option<usize> {
        let first = self.text[start..].bytes().next()?;
        if !first.is_ascii_alphabetic() && !b"/!".contains(&first) {
            return None;
        }
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

/// Tags inside a word, which do not end it.
fn is_invisible_tag(tag: &str) -> bool {
    let name = tag
        .trim_start_matches('/')
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next();
    name.is_some_and(|name| {
        ["wbr", "b", "i", "em", "strong", "span", "font", "mark"]
            .contains(&name.to_ascii_lowercase().as_str())
    })
}

/// What a character reference behind `&` stands for, and its length.
fn reference(rest: &str) -> (&'static str, usize) {
    const INVISIBLE: [&str; 7] = [
        "shy;",
        "#173;",
        "zwnj;",
        "#8203;",
        "#x200b;",
        "ZeroWidthSpace;",
        "#65279;",
    ];
    if let Some(known) = INVISIBLE.into_iter().find(|known| rest.starts_with(known)) {
        return ("", known.len());
    }
    let end = rest.bytes().take(12).position(|byte| byte == b';');
    let is_name = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
    };
    match end {
        Some(end) if end > 0 && is_name(&rest[..end]) => (" ", end + 1),
        _ => (" ", 0),
    }
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
