//! The reasons why a text is not a SHA-1 or SHA-256.

/// The reason why a text is not a hash that can be looked up. Its message says what to do.
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
    /// A character that is not a hexadecimal digit; look-alikes and invisible characters
    /// are named by their code point.
    #[error("the character {character} at position {position} is not a hexadecimal digit")]
    Character {
        /// The character itself if it is printable ASCII, else `U+XXXX`.
        character: String,
        /// Its position in the trimmed text, counted from 1.
        position: usize,
    },
    /// An entity whose algorithm is `SHA256AC`.
    #[error(
        "this is an Authenticode hash (SHA256AC), which the Files API does not know; send the SHA-1 or SHA-256 of the file"
    )]
    Authenticode,
    /// A word of a text that looks like a hash: its number of hexadecimal digits.
    #[error(
        "this looks like a hash, but its {0} hexadecimal digits are not those of a SHA-1 (40) or a SHA-256 (64), or other letters touch them; send the complete hash"
    )]
    LooksLike(usize),
    /// A JSON value that is not a text.
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
            Self::Character { .. } => "hash_character",
            Self::Authenticode => "hash_authenticode",
            Self::LooksLike(_) => "hash_broken",
            Self::NotText(_) => "hash_not_text",
        }
    }
}
