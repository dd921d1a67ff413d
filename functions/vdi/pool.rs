//! The hosts that belong to the report.

use std::{fmt, str::FromStr};

use regex::{Regex, RegexBuilder};

use crate::desktop::{DeviceTag, EntryModel};

/// A regular expression over short host names, case-insensitive.
///
/// It is not anchored: `^VDI-` matches the start of a name, `VDI` any part of it.
#[derive(Clone, Debug)]
pub struct HostPattern(Regex);

impl HostPattern {
    /// Returns true if the pattern matches a short host name.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// A text that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a regular expression over host names, such as `^VDI-`: {0}")]
pub struct NoPattern(String);

impl FromStr for HostPattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let built = RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(1 << 20)
            .build();
        match built {
            Ok(pattern) => Ok(Self(pattern)),
            Err(error) => {
                let why = error.to_string();
                Err(NoPattern(why.lines().last().unwrap_or_default().to_owned()))
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// The records that the report is about, and what they are expected to be.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Short names of virtual desktops.
    pub hosts: HostPattern,
    /// Short names of golden images; `None` if they are not set.
    pub golden: Option<HostPattern>,
    /// The tag that they must have.
    pub tag: DeviceTag,
    /// The device entries that they must have: one per host, or one per machine.
    pub entry: EntryModel,
    /// Short or full names of the hosts that must exist; `None` without a list.
    pub expected: Option<Vec<String>>,
}
