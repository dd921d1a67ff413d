//! The hash of a file as a caller gives it and as Defender takes it.
//!
//! The Files API takes SHA-1 and SHA-256. Everything else is refused here with
//! a reason, before a URL or a query is built from it.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-file-information>

use std::{fmt, str::FromStr};

/// Which hash function made a [`FileHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashKind {
    /// 20 bytes, 40 hexadecimal digits.
    Sha1,
    /// 32 bytes, 64 hexadecimal digits.
    Sha256,
}

impl HashKind {
    /// JSON `hashType`: `sha1` or `sha256`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

/// A valid SHA-1 or SHA-256, in 20 or 32 bytes.
///
/// Displays as lower-case hexadecimal digits, so it is safe in a URL path, a
/// query and a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileHash {
    /// A SHA-1.
    Sha1([u8; 20]),
    /// A SHA-256.
    Sha256([u8; 32]),
}

impl FileHash {
    /// The hash function that made it.
    pub fn kind(&self) -> HashKind {
        match self {
            Self::Sha1(_) => HashKind::Sha1,
            Self::Sha256(_) => HashKind::Sha256,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        let bytes = self.bytes();
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let digits = &text[..2 * bytes.len()];
        f.write_str(str::from_utf8(digits).map_err(|_| fmt::Error)?)
    }
}

/// Why a text is no hash that can be looked up; the text says what to do.
///
/// A retry does not help: the caller has to send something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    /// Nothing but blanks.
    #[error("the hash is empty; send a SHA-1 (40 digits) or a SHA-256 (64 digits)")]
    Empty,
    /// 32 hexadecimal digits, or an `md5:` prefix.
    #[error(
        "MD5 is not supported by the Files API of Microsoft Defender; send the SHA-1 or SHA-256 of the file"
    )]
    Md5,
    /// Hexadecimal digits, but not 40 or 64 of them.
    #[error("{0} hexadecimal digits are neither a SHA-1 (40) nor a SHA-256 (64)")]
    Length(usize),
    /// A prefix such as `sha1:` before a hash of the other kind.
    #[error("the prefix or algorithm says {prefix}, but the {digits} digits do not")]
    PrefixMismatch {
        /// What the prefix names.
        prefix: &'static str,
        /// How many hexadecimal digits follow it.
        digits: usize,
    },
    /// A character that is no hexadecimal digit; look-alikes and invisible
    /// characters are named by their code point.
    #[error("the character {character} at position {position} is not a hexadecimal digit")]
    Character {
        /// The character itself where it is printable ASCII, else `U+XXXX`.
        character: String,
        /// Its position in the trimmed text, counted from 1.
        position: usize,
    },
    /// An entity whose algorithm is `SHA256AC`.
    #[error(
        "this is an Authenticode hash (SHA256AC), which the Files API does not know; send the SHA-1 or SHA-256 of the file"
    )]
    Authenticode,
    /// A JSON value that is no text.
    #[error("{0} is not a text; send each hash as a JSON string")]
    NotText(&'static str),
}

impl UnusableHash {
    /// Stable code, JSON `error.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "hash_empty",
            Self::Md5 => "hash_md5",
            Self::Length(_) => "hash_length",
            Self::PrefixMismatch { .. } => "hash_prefix",
            Self::Character { .. } => "hash_character",
            Self::Authenticode => "hash_authenticode",
            Self::NotText(_) => "hash_not_text",
        }
    }
}

impl FromStr for FileHash {
    type Err = UnusableHash;

    /// Reads a hash: blanks around it, one pair of quotes, a `sha1:`, `sha256:`
    /// or `0x` prefix and upper case are accepted, everything else is refused.
    fn from_str(text: &str) -> Result<Self, UnusableHash> {
        // What most callers send.
        if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            match text.len() {
                40 => return Ok(Self::Sha1(decode(text))),
                64 => return Ok(Self::Sha256(decode(text))),
                _ => {}
            }
        }
        let (prefix, digits) = split_prefix(unquote(text.trim_matches([' ', '\t', '\r', '\n'])));
        if digits.is_empty() {
            return Err(UnusableHash::Empty);
        }
        if let Some((index, wrong)) = digits
            .chars()
            .enumerate()
            .find(|(_, c)| !c.is_ascii_hexdigit())
        {
            return Err(UnusableHash::Character {
                character: visible(wrong),
                position: index + 1,
            });
        }
        if prefix == Some("MD5") {
            return Err(UnusableHash::Md5);
        }
        let hash = match digits.len() {
            40 => Self::Sha1(decode(digits)),
            64 => Self::Sha256(decode(digits)),
            32 if prefix.is_none() => return Err(UnusableHash::Md5),
            other => return Err(UnusableHash::Length(other)),
        };
        match (prefix, hash.kind()) {
            (Some("SHA-1"), HashKind::Sha256) | (Some("SHA-256"), HashKind::Sha1) => {
                Err(UnusableHash::PrefixMismatch {
                    prefix: prefix.unwrap_or_default(),
                    digits: digits.len(),
                })
            }
            _ => Ok(hash),
        }
    }
}

/// One thing that a caller asked about, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observable {
    /// The hash in lower case where it is one, else what was sent, made
    /// visible and cut to 100 characters. JSON `hash`.
    pub text: String,
    /// The hash, or why there is none.
    pub hash: Result<FileHash, UnusableHash>,
    /// Inputs with the same number are hashes of one file, as the sender's
    /// entities say; `None` where they say nothing.
    pub file: Option<usize>,
}

impl Observable {
    /// Longest echo of an unusable input, in characters.
    const ECHO_CHARACTERS: usize = 100;

    /// Reads one text.
    pub fn parse(text: &str) -> Self {
        match text.parse::<FileHash>() {
            Ok(hash) => Self {
                text: hash.to_string(),
                hash: Ok(hash),
                file: None,
            },
            Err(reason) => Self::unusable(text, reason),
        }
    }

    /// Reads one text that is said to be of this kind.
    pub fn of_kind(text: &str, kind: HashKind) -> Self {
        match text.parse::<FileHash>() {
            Ok(hash) if hash.kind() != kind => {
                let prefix = if kind == HashKind::Sha1 {
                    "SHA-1"
                } else {
                    "SHA-256"
                };
                Self::unusable(
                    text,
                    UnusableHash::PrefixMismatch {
                        prefix,
                        digits: hash.to_string().len(),
                    },
                )
            }
            _ => Self::parse(text),
        }
    }

    /// An input that is known to be unusable.
    pub fn unusable(text: &str, reason: UnusableHash) -> Self {
        let mut echo: String = text
            .trim()
            .chars()
            .take(Self::ECHO_CHARACTERS)
            .map(visible)
            .collect();
        if text.trim().chars().nth(Self::ECHO_CHARACTERS).is_some() {
            echo.push_str("...");
        }
        Self {
            text: echo,
            hash: Err(reason),
            file: None,
        }
    }
}

/// The character where it is printable ASCII, else its code point.
fn visible(character: char) -> String {
    match character {
        ' '..='~' => character.to_string(),
        other => format!("U+{:04X}", u32::from(other)),
    }
}

fn unquote(text: &str) -> &str {
    ['"', '\'', '`']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

/// The hash function that a prefix names, and what follows the prefix.
fn split_prefix(text: &str) -> (Option<&'static str>, &str) {
    const PREFIXES: [(&str, Option<&str>); 7] = [
        ("sha-256:", Some("SHA-256")),
        ("sha256:", Some("SHA-256")),
        ("sha-1:", Some("SHA-1")),
        ("sha1:", Some("SHA-1")),
        ("sha_256:", Some("SHA-256")),
        ("md5:", Some("MD5")),
        ("0x", None),
    ];
    PREFIXES
        .into_iter()
        .find(|(prefix, _)| {
            text.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        })
        .map_or((None, text), |(prefix, name)| {
            (name, text[prefix.len()..].trim_start_matches(' '))
        })
}

/// Decodes exactly `2 * N` hexadecimal digits, which the caller has checked.
fn decode<const N: usize>(digits: &str) -> [u8; N] {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or_default() as u8;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";
    const SHA256: &str = "413c58c8267d2c8648d8f6384bacc2ae9c929b2b96578b6860b5087cd1bd6462";

    #[track_caller]
    fn accepts(text: &str, expected: &str) {
        assert_eq!(
            text.parse::<FileHash>()
                .map(|hash| hash.to_string())
                .as_deref(),
            Ok(expected)
        );
    }

    #[track_caller]
    fn refuses(text: &str, code: &str) -> String {
        let reason = text.parse::<FileHash>().expect_err("must be refused");
        assert_eq!(reason.code(), code, "{reason}");
        reason.to_string()
    }

    #[test]
    fn documented_forms_are_trimmed_and_lowered() {
        accepts(SHA1, SHA1);
        accepts(&SHA256.to_uppercase(), SHA256);
        accepts(&format!("  {SHA256}\r\n"), SHA256);
        accepts(&format!("\"{SHA256}\""), SHA256);
        accepts(&format!("SHA256:{SHA256}"), SHA256);
        accepts(&format!("sha-1: {SHA1}"), SHA1);
        accepts(&format!("0x{SHA1}"), SHA1);
    }

    #[test]
    fn other_lengths_and_md5_are_refused_with_the_reason() {
        for digits in [31, 39, 41, 63, 65] {
            assert!(refuses(&"a".repeat(digits), "hash_length").contains(&digits.to_string()));
        }
        assert!(refuses(&"a".repeat(32), "hash_md5").contains("MD5 is not supported"));
        refuses(&format!("md5:{}", "a".repeat(32)), "hash_md5");
        refuses("", "hash_empty");
        refuses(" \n", "hash_empty");
        refuses(&format!("sha1:{SHA256}"), "hash_prefix");
    }

    #[test]
    fn look_alikes_and_separators_are_named_by_code_point() {
        assert!(refuses(&SHA1.replacen('a', "\u{430}", 1), "hash_character").contains("U+0430"));
        assert!(refuses(&SHA1.replacen('4', "\u{ff14}", 1), "hash_character").contains("U+FF14"));
        assert!(refuses(&format!("\u{202e}{SHA1}"), "hash_character").contains("U+202E"));
        assert!(refuses(&format!("{SHA1}\r\nX: y"), "hash_character").contains("U+000D"));
        refuses("../../etc/passwd", "hash_character");
        refuses("zz", "hash_character");
    }

    #[test]
    fn unusable_input_is_echoed_visibly_and_bounded() {
        let echo = Observable::parse(&format!("\u{202e}\u{1b}[31m{}", "x".repeat(500))).text;
        assert!(
            echo.starts_with("U+202EU+001B[31mx") && echo.ends_with("..."),
            "{echo}"
        );
        assert!(echo.len() < 200);
    }

    proptest! {
        #[test]
        fn any_bytes_survive_display_and_parsing(bytes in any::<[u8; 32]>()) {
            let hash = FileHash::Sha256(bytes);
            prop_assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
        }

        #[test]
        fn any_text_is_a_hash_or_has_a_reason(text in any::<String>()) {
            match text.parse::<FileHash>() {
                Ok(hash) => prop_assert!([40, 64].contains(&hash.to_string().len())),
                Err(reason) => prop_assert!(reason.to_string().is_ascii()),
            }
        }
    }
}
