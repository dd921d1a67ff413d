//! The hash of a file as a caller gives it and as Defender takes it.
//!
//! The Files API takes SHA-1 and SHA-256. Everything else is refused here with
//! a reason, before a URL or a query is built from it.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/get-file-information>

mod observable;
mod unusable;

use std::{fmt, str::FromStr};

use observable::{split_prefix, unquote};

pub use observable::Observable;
pub use unusable::UnusableHash;

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
        // A prefix that cannot be right does not change the digits.
        match digits.len() {
            40 => Ok(Self::Sha1(decode(digits))),
            64 => Ok(Self::Sha256(decode(digits))),
            32 if prefix.is_none() || prefix == Some("MD5") => Err(UnusableHash::Md5),
            _ if prefix == Some("MD5") => Err(UnusableHash::Md5),
            other => Err(UnusableHash::Length(other)),
        }
    }
}

/// The character if it is printable ASCII, else its code point.
fn visible(character: char) -> String {
    match character {
        ' '..='~' => character.to_string(),
        other => format!("U+{:04X}", u32::from(other)),
    }
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
mod tests;
