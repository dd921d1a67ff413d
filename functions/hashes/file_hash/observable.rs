//! A hash as it was given, whether it can be read or not.

use super::unusable::UnusableHash;
use super::{FileHash, visible};

/// One thing that a caller asked about, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observable {
    /// The hash in lowercase; if it is not one, the text as sent, with hidden characters
    /// shown and cut to 100 characters. JSON `hash`.
    pub text: String,
    /// The hash, or why there is none.
    pub hash: Result<FileHash, UnusableHash>,
    /// Inputs with the same number are hashes of one file, as the sender's
    /// entities say; `None` where they say nothing.
    pub file: Option<usize>,
    /// The name that the sender's entities give the file; `None` without one.
    pub file_name: Option<String>,
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
                file_name: None,
            },
            Err(reason) => Self::unusable(text, reason),
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
            file_name: None,
        }
    }
}

pub(super) fn unquote(text: &str) -> &str {
    ['"', '\'', '`']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

/// The hash function that a prefix names, and what follows the prefix.
pub(super) fn split_prefix(text: &str) -> (Option<&'static str>, &str) {
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
