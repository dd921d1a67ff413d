//! Terms that golden images and virtual desktops share.
//!
//! They are the tag of a device, its entries, and the severity of a finding.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The device entries of pooled machines; the onboarding decides them.
///
/// Source: <https://learn.microsoft.com/en-us/defender-endpoint/configure-endpoints-vdi>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryModel {
    /// One device record per host name: both scripts are staged.
    #[default]
    Single,
    /// One device record per machine: only the `.cmd` is staged.
    Multiple,
}

/// A word that is not one of the two that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` and `{1}` are allowed")]
pub struct UnknownWord(&'static str, &'static str);

impl UnknownWord {
    pub(crate) fn new(first: &'static str, second: &'static str) -> Self {
        Self(first, second)
    }
}

macro_rules! two_words {
    ($type:ident, $first:ident $a:literal, $second:ident $b:literal) => {
        impl std::str::FromStr for $type {
            type Err = $crate::desktop::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::desktop::UnknownWord> {
                match text.to_ascii_lowercase().as_str() {
                    $a => Ok(Self::$first),
                    $b => Ok(Self::$second),
                    _ => Err($crate::desktop::UnknownWord::new($a, $b)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    Self::$first => $a,
                    Self::$second => $b,
                })
            }
        }
    };
}

pub(crate) use two_words;

two_words!(EntryModel, Single "single", Multiple "multiple");

/// The severity of a finding, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Severity {
    /// Machines are not protected, or cannot be distinguished.
    Critical,
    /// Machines are probably poorly protected or counted wrong.
    High,
    /// Protection or performance could be better.
    Medium,
    /// Nice to have.
    Low,
}

impl Severity {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::High => "High",
            Self::Medium => "Medium",
            Self::Low => "Low",
        }
    }

    /// Its weight in a score.
    pub(crate) fn weight(self) -> f64 {
        match self {
            Self::Critical => 10.0,
            Self::High => 5.0,
            Self::Medium => 3.0,
            Self::Low => 1.0,
        }
    }
}

/// A device tag.
///
/// 1 to 200 characters, without those that break the portal's filter
/// (`(`, `)`, `,`), without quotes and without invisible characters.
/// Source: <https://learn.microsoft.com/en-us/defender-endpoint/machine-tags>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTag(String);

/// A text that cannot be a device tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a device tag has 1 to 200 characters, none of them `(`, `)`, `,`, a quote or a control character"
)]
pub struct InvalidDeviceTag;

impl Default for DeviceTag {
    fn default() -> Self {
        Self("VDI-NonPersistent".to_owned())
    }
}

impl FromStr for DeviceTag {
    type Err = InvalidDeviceTag;

    fn from_str(text: &str) -> Result<Self, InvalidDeviceTag> {
        let fits = |c: char| {
            !"(),\"'`\u{2018}\u{2019}\u{201c}\u{201d}".contains(c) && !crate::report::text::hides(c)
        };
        if text.trim() == text
            && (1..=200).contains(&text.chars().count())
            && text.chars().all(fits)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidDeviceTag)
        }
    }
}

impl fmt::Display for DeviceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
