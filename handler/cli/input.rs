//! Files and standard input of commands, read as text.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use functions::{hashes::payload, report::text::visible};

/// An input that cannot be used; its text says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", visible(&.path.display().to_string()))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}")]
    Stdin(std::io::Error),
    /// Larger than such a file may be.
    #[error("{} is larger than {max_mib} MiB; {shape}", visible(&.path.display().to_string()))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size.
        max_mib: u64,
        /// The content that the file should have.
        shape: &'static str,
    },
    /// Not text.
    #[error("the input is not text in UTF-8 or UTF-16 (with its byte order mark)")]
    NotText,
    /// Nothing in it can be used.
    #[error("{0}")]
    Empty(String),
    /// A line with unexpected content.
    #[error(
        "{} has the line `{}`, which is not a host name; write one on each line",
        visible(&.path.display().to_string()),
        visible(line)
    )]
    OddLine {
        /// The file.
        path: PathBuf,
        /// The line, cut to 80 characters.
        line: String,
    },
}

/// The text of a file.
///
/// # Errors
/// [`InputError`].
pub(super) fn file_text(path: &Path) -> Result<String, InputError> {
    let unreadable = |source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    };
    decode(&std::fs::read(path).map_err(unreadable)?)
}

/// The text of a file of at most `max_mib`; `shape` says what it should have.
///
/// # Errors
/// [`InputError`].
pub(super) fn bounded_file_text(
    path: &Path,
    max_mib: u64,
    shape: &'static str,
) -> Result<String, InputError> {
    let unreadable = |source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let (mut bytes, max) = (Vec::new(), max_mib << 20);
    let file = File::open(path).map_err(unreadable)?;
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > max {
        return Err(InputError::TooLarge {
            path: path.to_owned(),
            max_mib,
            shape,
        });
    }
    decode(&bytes)
}

/// The text of standard input.
///
/// # Errors
/// [`InputError`].
pub(super) fn stdin_text() -> Result<String, InputError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(InputError::Stdin)?;
    decode(&bytes)
}

fn decode(bytes: &[u8]) -> Result<String, InputError> {
    payload::decode(bytes).ok_or(InputError::NotText)
}
