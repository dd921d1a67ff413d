//! The reasons why a request cannot be read.

use super::{MAX_DISTINCT, MAX_ITEMS};

/// The reason why a body has no list. Its message says what to send. A retry of the same
/// body does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableRequest {
    /// No bytes, or blanks only.
    #[error(
        "the body is empty; send {{\"hashes\": [\"...\"]}} with a Content-Length (chunked bodies can get lost on the way)"
    )]
    Empty,
    /// Not JSON.
    #[error("the body is not valid JSON: line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A text in an encoding that is not read, or a compressed one.
    #[error(
        "the body is not text in UTF-8 or UTF-16 (with its mark); send it in one of them, not compressed"
    )]
    NotText,
    /// A key is there twice.
    #[error(
        "an object of the body has a key twice, so it is not clear which one counts; send it once"
    )]
    RepeatedKey,
    /// JSON of another shape.
    #[error(
        "the body has no known shape; send {{\"hashes\": [\"...\"]}}, a JSON array of hashes, a Sentinel trigger body, or text/plain"
    )]
    UnknownShape,
    /// More than [`MAX_DISTINCT`] distinct inputs or [`MAX_ITEMS`] in all.
    #[error(
        "{items} inputs, {distinct} of them distinct, are too many for one call; send at most {MAX_DISTINCT} distinct ones and {MAX_ITEMS} in all"
    )]
    TooMany {
        /// Inputs in the body.
        items: usize,
        /// Distinct inputs in the body.
        distinct: usize,
    },
}

impl UnusableRequest {
    /// Stable code of the problem body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::NotJson { .. } | Self::NotText | Self::RepeatedKey | Self::UnknownShape => {
                "unrecognised_body"
            }
            Self::TooMany { .. } => "too_many_hashes",
        }
    }
}
