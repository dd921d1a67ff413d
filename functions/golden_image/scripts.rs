//! The scripts for each step, printed with the values of the caller.
//!
//! A script is plain ASCII, because Windows PowerShell reads a file without a byte
//! order mark in the code page of the machine.

mod values;

use std::{fmt, fmt::Write as _, str::FromStr};

use crate::desktop::{DeviceTag, EntryModel};

pub use values::{ClockTime, Folder, UncPath};

/// A script and the values that it is printed with.
///
/// A value that is `None` or empty is a parameter that the caller of the script gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Collects the evidence of a machine; changes nothing.
    CollectEvidence,
    /// Copies the onboarding scripts into an image.
    StageOnboarding {
        /// The folder of the unpacked onboarding package.
        package: Option<Folder>,
        /// The device entries, which decide the scripts that are staged.
        entry: EntryModel,
    },
    /// Removes the data of the sensor from an image that was onboarded.
    CleanImage,
    /// Writes the device tag.
    DeviceTag {
        /// The tag.
        tag: DeviceTag,
    },
    /// Points Defender at a share with unpacked intelligence, or fills it.
    SecurityIntelligence {
        /// The share.
        share: Option<UncPath>,
    },
    /// Adds the exclusions of `FSLogix`.
    FslogixExclusions {
        /// The shares with profile containers.
        profiles: Vec<UncPath>,
        /// True if Cloud Cache is in use.
        cloud_cache: bool,
    },
    /// Sets protection, scan times and throttling.
    ScanSettings {
        /// The time of the daily quick scan.
        quick_scan_time: ClockTime,
    },
    /// Shows whether a pooled desktop is onboarded and protected.
    Validate,
}

/// The reason that a value is refused; a retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The script has no such option.
    #[error("`{0}` accepts {1}")]
    NoSuchOption(&'static str, String),
    /// The value is not allowed.
    #[error("{0}: {1}")]
    NotAllowed(String, String),
}

impl Script {
    /// The names of the scripts, as in commands and paths.
    pub const NAMES: [&'static str; 8] = [
        "collect-evidence",
        "stage-onboarding",
        "clean-image",
        "device-tag",
        "security-intelligence",
        "fslogix-exclusions",
        "scan-settings",
        "validate",
    ];

    /// The script of this name with these settings; `None` for an unknown name.
    pub fn named(name: &str, entry: EntryModel, tag: &DeviceTag) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "collect-evidence" => Self::CollectEvidence,
            "stage-onboarding" => Self::StageOnboarding {
                package: None,
                entry,
            },
            "clean-image" => Self::CleanImage,
            "device-tag" => Self::DeviceTag { tag: tag.clone() },
            "security-intelligence" => Self::SecurityIntelligence { share: None },
            "fslogix-exclusions" => Self::FslogixExclusions {
                profiles: Vec::new(),
                cloud_cache: false,
            },
            "scan-settings" => Self::ScanSettings {
                quick_scan_time: ClockTime::default(),
            },
            "validate" => Self::Validate,
            _ => return None,
        })
    }

    /// The name of the script, one of [`Script::NAMES`].
    pub fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::CollectEvidence => 0,
            Self::StageOnboarding { .. } => 1,
            Self::CleanImage => 2,
            Self::DeviceTag { .. } => 3,
            Self::SecurityIntelligence { .. } => 4,
            Self::FslogixExclusions { .. } => 5,
            Self::ScanSettings { .. } => 6,
            Self::Validate => 7,
        }]
    }

    /// The names of the values that the script accepts.
    pub fn options(&self) -> &'static [&'static str] {
        match self {
            Self::CollectEvidence | Self::CleanImage | Self::Validate => &[],
            Self::StageOnboarding { .. } => &["package", "entry"],
            Self::DeviceTag { .. } => &["tag"],
            Self::SecurityIntelligence { .. } => &["share"],
            Self::FslogixExclusions { .. } => &["profiles", "cloud-cache"],
            Self::ScanSettings { .. } => &["quick-scan-time"],
        }
    }

    /// Sets a value from its text; for `profiles`, adds one.
    ///
    /// # Errors
    /// [`ScriptError`] for an option that the script does not have, and for a value that
    /// is not allowed.
    pub fn set(&mut self, option: &str, text: &str) -> Result<(), ScriptError> {
        fn read<T: FromStr<Err: fmt::Display>>(option: &str, text: &str) -> Result<T, ScriptError> {
            text.parse()
                .map_err(|error: T::Err| ScriptError::NotAllowed(option.into(), error.to_string()))
        }
        let name = self.name();
        let options = self.options();
        match (option, self) {
            ("package", Self::StageOnboarding { package, .. }) => {
                *package = Some(read(option, text)?);
            }
            ("entry", Self::StageOnboarding { entry, .. }) => *entry = read(option, text)?,
            ("tag", Self::DeviceTag { tag }) => *tag = read(option, text)?,
            ("share", Self::SecurityIntelligence { share }) => *share = Some(read(option, text)?),
            ("profiles", Self::FslogixExclusions { profiles, .. }) => {
                profiles.push(read(option, text)?);
            }
            ("cloud-cache", Self::FslogixExclusions { cloud_cache, .. }) => {
                *cloud_cache = read(option, text)?;
            }
            ("quick-scan-time", Self::ScanSettings { quick_scan_time }) => {
                *quick_scan_time = read(option, text)?;
            }
            _ => {
                let known = match options {
                    [] => "no values".to_owned(),
                    options => options.join(", "),
                };
                return Err(ScriptError::NoSuchOption(name, known));
            }
        }
        Ok(())
    }

    /// The text of the script.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut rest = self.template();
        // One pass, so that a value that looks like a placeholder stays a value.
        while let Some((before, after)) = rest.split_once("{{") {
            let (placeholder, tail) = after.split_once("}}").unwrap_or((after, ""));
            text.push_str(before);
            text.push_str(&self.value(placeholder));
            rest = tail;
        }
        text.push_str(rest);
        text
    }

    fn template(&self) -> &'static str {
        match self {
            Self::CollectEvidence => include_str!("scripts/collect-evidence.ps1"),
            Self::StageOnboarding { .. } => include_str!("scripts/stage-onboarding.ps1"),
            Self::CleanImage => include_str!("scripts/clean-image.ps1"),
            Self::DeviceTag { .. } => include_str!("scripts/device-tag.ps1"),
            Self::SecurityIntelligence { .. } => include_str!("scripts/security-intelligence.ps1"),
            Self::FslogixExclusions { .. } => include_str!("scripts/fslogix-exclusions.ps1"),
            Self::ScanSettings { .. } => include_str!("scripts/scan-settings.ps1"),
            Self::Validate => include_str!("scripts/validate.ps1"),
        }
    }

    fn value(&self, placeholder: &str) -> String {
        match (placeholder, self) {
            ("package", Self::StageOnboarding { package, .. }) => {
                quoted(package.as_ref().map_or("", |folder| &folder.0))
            }
            ("entry", Self::StageOnboarding { entry, .. }) => quoted(match entry {
                EntryModel::Single => "Single",
                EntryModel::Multiple => "Multiple",
            }),
            ("tag", Self::DeviceTag { tag }) => quoted(&tag.to_string()),
            ("share", Self::SecurityIntelligence { share }) => {
                quoted(share.as_ref().map_or("", |share| &share.0))
            }
            ("profiles", Self::FslogixExclusions { profiles, .. }) => {
                let shares: Vec<String> = profiles.iter().map(|share| quoted(&share.0)).collect();
                shares.join(", ")
            }
            ("cloud-cache", Self::FslogixExclusions { cloud_cache, .. }) => {
                format!("${cloud_cache}")
            }
            ("quick-scan-time", Self::ScanSettings { quick_scan_time }) => {
                quoted(&quick_scan_time.0)
            }
            _ => quoted(""),
        }
    }
}

/// A `PowerShell` expression whose value is this text.
///
/// Characters outside ASCII are written as numbers: curly quotes also end a string in
/// `PowerShell`, and a number does not depend on the code page.
/// Source: <https://learn.microsoft.com/en-us/powershell/module/microsoft.powershell.core/about/about_quoting_rules>
fn quoted(text: &str) -> String {
    let mut expression = String::from("'");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\'') => expression.push_str("''"),
            Ok(byte @ b' '..=b'~') => expression.push(char::from(byte)),
            _ => {
                let _ = write!(expression, "' + [char]0x{unit:04X} + '");
            }
        }
    }
    expression.push('\'');
    if text.is_ascii() {
        expression
    } else {
        format!("({expression})")
    }
}
