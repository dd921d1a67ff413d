//! The ways in which a text is read: as it is, without escapes, without inline tags.

use crate::report::text::hides;

/// Longest tag in bytes.
const MAX_TAG: usize = 2_048;

/// The readings of a text, the plainest one first, each once.
pub(super) fn of(text: &str) -> Vec<String> {
    let plain = plain(text);
    let unescaped = unescaped(&plain);
    let untagged = without_tags(&unescaped);
    let mut readings = vec![plain];
    for reading in [unescaped, untagged] {
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    readings
}

/// The text in lowercase, without invisible characters, with character references read,
/// wide digits as plain ones, and labels in one spelling.
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
            '\n' | '\u{2028}' | '\u{2029}' => plain.push('\n'),
            '\t' => plain.push('\t'),
            c if c.is_control() => plain.push(' '),
            c if hides(c) => {}
            '\u{FF01}'..='\u{FF5E}' => {
                let narrow = char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(' ');
                plain.push(narrow.to_ascii_lowercase());
            }
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

/// The text with the escapes of JSON, URLs and quoted-printable mail read, where they
/// stand for a blank, a line end or a sign.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (read, length) = match c {
            '\\' => json_escape(&text[at + 1..]),
            '%' => hex_escape(&bytes[at + 1..]),
            '=' => match soft_break(&bytes[at + 1..]) {
                Some(length) => (Escape::Nothing, length),
                None => hex_escape(&bytes[at + 1..]),
            },
            _ => (Escape::None, 0),
        };
        match read {
            Escape::None => plain.push(c),
            Escape::Nothing => {}
            Escape::Char(read) if hides(read) && !read.is_control() => {}
            Escape::Char(read) => plain.push(read.to_ascii_lowercase()),
        }
        at += c.len_utf8() + length;
    }
    plain
}

/// The meaning of an escape.
enum Escape {
    /// It is not one.
    None,
    /// It stands for nothing.
    Nothing,
    /// It stands for a character.
    Char(char),
}

/// The escape of JSON after a backslash, and its length. `\b` and `\f` are not read as escapes:
/// they are the start of a hash more often, as in a path.
fn json_escape(rest: &str) -> (Escape, usize) {
    match rest.as_bytes() {
        [b'n', ..] => (Escape::Char('\n'), 1),
        [b'r' | b't', ..] => (Escape::Char(' '), 1),
        [b'\\', ..] => (Escape::Nothing, 0),
        [b'u', ..] => {
            let code = rest
                .get(1..5)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match code.and_then(char::from_u32) {
                Some(c) => (Escape::Char(c), 5),
                None => (Escape::None, 0),
            }
        }
        _ => (Escape::None, 0),
    }
}

/// A sign in two hexadecimal digits, and its length. Letters and digits are left as they
/// are: the two digits may be those of a hash.
fn hex_escape(rest: &[u8]) -> (Escape, usize) {
    let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match (digit(0), digit(1)) {
        (Some(high), Some(low)) => match char::from_u32(high * 16 + low) {
            Some('\n') => (Escape::Char('\n'), 2),
            Some(c) if c.is_ascii() && !c.is_ascii_alphanumeric() => (Escape::Char(c), 2),
            _ => (Escape::None, 0),
        },
        _ => (Escape::None, 0),
    }
}

/// The length of a soft line break of quoted-printable mail after its `=`.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    (rest.get(blanks) == Some(&b'\n')).then_some(blanks + 1)
}

/// The text without tags: those that can stand inside a word are nothing, those that end a
/// line are a line end, and others separate cells.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut tags = Tags { text, close: None };
    let mut at = 0;
    while let Some(open) = text[at..].find('<').map(|offset| at + offset) {
        plain.push_str(&text[at..open]);
        at = open + 1;
        match tags.end(at) {
            Some(end) => {
                plain.push_str(match name(&text[at..end]) {
                    name if INLINE.contains(&name) => "",
                    name if LINES.contains(&name) => "\n",
                    _ => "|",
                });
                at = end + 1;
            }
            None => plain.push(' '),
        }
    }
    plain.push_str(&text[at..]);
    plain
}

/// Finds the ends of tags in one pass over the text.
struct Tags<'a> {
    text: &'a str,
    /// The first `>` after the last place that was asked about.
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

/// Tags that can stand inside a word.
const INLINE: [&str; 11] = [
    "wbr", "b", "i", "u", "em", "strong", "span", "font", "mark", "code", "a",
];

/// Tags that end a line.
const LINES: [&str; 6] = ["br", "p", "div", "tr", "li", "pre"];

/// The name of a tag, without its slash.
fn name(tag: &str) -> &str {
    let name = tag.trim_start_matches('/');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric());
    &name[..end.unwrap_or(name.len())]
}
