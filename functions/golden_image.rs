//! Care for Defender on non-persistent virtual desktops.

mod assessment;
mod checklist;
mod checks;
mod evidence;
pub mod hygiene;
mod scripts;

pub use assessment::{Assessment, Expectation, ItemResult, Severity, State, Sums, assess};
pub use checklist::{CHECKLIST, Item};
pub use evidence::{Evidence, EvidenceError, MAX_BYTES};
pub use scripts::{ClockTime, Folder, Script, ScriptError, UncPath};

use std::{fmt, str::FromStr};

use serde::Serialize;

/// Which machine the evidence is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An image that is about to be sealed.
    Golden,
    /// A virtual desktop after its first start.
    Pooled,
}

/// How pooled machines are onboarded.
/// Source: <https://learn.microsoft.com/en-us/defender-endpoint/configure-endpoints-vdi>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryModel {
    /// One device record a host name: both scripts are staged.
    #[default]
    Single,
    /// One device record a machine: only the `.cmd` is staged.
    Multiple,
}

/// What starts the onboarding script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Startup {
    /// A start-up script of the image's local policy.
    Local,
    /// A task that the domain hands out.
    Domain,
}

/// A word that is none of the allowed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` and `{1}` are allowed")]
pub struct NoSuchWord(&'static str, &'static str);

macro_rules! words {
    ($type:ident, $first:ident $a:literal, $second:ident $b:literal) => {
        impl FromStr for $type {
            type Err = NoSuchWord;

            fn from_str(text: &str) -> Result<Self, NoSuchWord> {
                match text.to_ascii_lowercase().as_str() {
                    $a => Ok(Self::$first),
                    $b => Ok(Self::$second),
                    _ => Err(NoSuchWord($a, $b)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    Self::$first => $a,
                    Self::$second => $b,
                })
            }
        }
    };
}

words!(Role, Golden "golden", Pooled "pooled");
words!(EntryModel, Single "single", Multiple "multiple");
words!(Startup, Local "local", Domain "domain");

/// A device tag.
///
/// 1 to 200 characters, without what breaks the portal's filter
/// (`(`, `)`, `,`), quotes or characters that cannot be seen.
/// Source: <https://learn.microsoft.com/en-us/defender-endpoint/machine-tags>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceTag(String);

/// A text that cannot be a device tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a device tag has 1 to 200 characters, none of them `(`, `)`, `,`, a quote or a control character"
)]
pub struct NoDeviceTag;

impl Default for DeviceTag {
    fn default() -> Self {
        Self("VDI-NonPersistent".to_owned())
    }
}

impl FromStr for DeviceTag {
    type Err = NoDeviceTag;

    fn from_str(text: &str) -> Result<Self, NoDeviceTag> {
        let fits = |c: char| {
            !"(),\"'`\u{2018}\u{2019}\u{201c}\u{201d}".contains(c) && !crate::report::text::hides(c)
        };
        if text.trim() == text
            && (1..=200).contains(&text.chars().count())
            && text.chars().all(fits)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoDeviceTag)
        }
    }
}

impl fmt::Display for DeviceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
