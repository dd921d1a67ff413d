//! The file of `--resume`: the results of a look-up that was interrupted.
//!
//! The first line says what the file is; each further line is a result as JSON. It is
//! removed when everything is checked.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use functions::hashes::{FileHash, HashResult};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::cli::{say, shown};

/// The first line of the file.
const HEAD: &str = r#"{"file":"defender-functions lookup --resume","version":1}"#;

/// Longest age of a result that is used again.
const MAX_AGE: Duration = Duration::hours(24);

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 30;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResumeError {
    /// It cannot be read or written.
    #[error("`{}` cannot be used for --resume: {source}", shown(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// It is something else, which is not overwritten.
    #[error("`{}` was not written by --resume, so it is left as it is; name a new file", shown(.path))]
    AnotherFile {
        /// The file.
        path: PathBuf,
    },
}

/// The open file, and the results that it had.
pub(super) struct Resume {
    path: PathBuf,
    file: File,
    known: HashMap<FileHash, HashResult>,
    /// False after an error that was reported.
    works: bool,
}

impl Resume {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub(super) fn open(path: &Path) -> Result<Self, ResumeError> {
        let io = |source| ResumeError::Io {
            path: path.to_owned(),
            source,
        };
        let another = || ResumeError::AnotherFile {
            path: path.to_owned(),
        };
        // A pipe would stop the command when it is opened.
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(another());
        }
        let mut file = options().open(path).map_err(io)?;
        let mut text = String::new();
        let read = (&mut file).take(MAX_BYTES).read_to_string(&mut text);
        if read.is_err() || !(text.is_empty() || text.starts_with(HEAD)) {
            return Err(another());
        }
        let start = match text.is_empty() {
            true => format!("{HEAD}\n"),
            // A line that a kill cut off is ended.
            false if !text.ends_with('\n') => "\n".to_owned(),
            false => String::new(),
        };
        file.write_all(start.as_bytes()).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            known: results(&text),
            works: true,
        })
    }

    /// The results so far, at most a day old.
    pub(super) fn known(&self) -> &HashMap<FileHash, HashResult> {
        &self.known
    }

    /// Adds a result. An error is reported once; the look-up continues. A file without a
    /// record is asked for again: it may have one soon.
    pub(super) fn add(&mut self, result: &HashResult) {
        let is_kept = result.found == Some(true) && !result.stale && self.works;
        let Some(Ok(line)) = is_kept.then(|| serde_json::to_string(result)) else {
            return;
        };
        if let Err(error) = self.file.write_all(format!("{line}\n").as_bytes()) {
            say(&format!(
                "warning: `{}` cannot be written ({error}); what follows is not kept",
                shown(&self.path)
            ));
            self.works = false;
        }
    }

    /// Ends the use of the file: it is removed if everything is checked, else the way to
    /// continue is printed.
    pub(super) fn end(self, is_checked: bool) {
        if is_checked {
            // It is of no use any more; one that cannot be removed does no harm.
            let _ = std::fs::remove_file(&self.path);
        } else {
            say(&format!(
                "the results so far are in `{}`; run the same command again to continue",
                shown(&self.path)
            ));
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The results in the lines of a file that are not too old.
fn results(text: &str) -> HashMap<FileHash, HashResult> {
    let oldest = OffsetDateTime::now_utc() - MAX_AGE;
    let is_recent = |result: &HashResult| {
        let time = result.as_of.as_deref();
        let time = time.and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        time.is_some_and(|time| time >= oldest && time <= OffsetDateTime::now_utc() + MAX_AGE)
    };
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| serde_json::from_str::<HashResult>(line).ok())
        .filter(|result| result.verdict.is_some() && !result.stale && is_recent(result))
        .filter_map(|result| {
            let cached = HashResult {
                cached: true,
                ..result
            };
            Some((cached.hash.parse().ok()?, cached))
        })
        .collect()
}
