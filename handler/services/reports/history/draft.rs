//! A run before and after it is published.

use functions::report::run::{File, Manifest};

/// The content of a run.
#[derive(Debug, Default)]
pub struct Draft {
    /// Time at which its facts were read, RFC 3339 in UTC.
    pub as_of: String,
    /// The reasons why not everything could be read; empty when it could.
    pub reasons: Vec<String>,
    /// The queries by name, with their text.
    pub queries: Vec<(&'static str, &'static str)>,
    /// Its files, in the order in which they are written.
    pub files: Vec<File>,
}

/// The outcome of a run that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the run of its slot.
    Written(Manifest),
    /// Its slot already had this run; the new one does not count.
    AlreadyThere(Manifest),
}

impl Published {
    /// The run of the slot.
    pub fn manifest(&self) -> &Manifest {
        let (Self::Written(manifest) | Self::AlreadyThere(manifest)) = self;
        manifest
    }
}
