//! Values of scripts that have a form of their own: shares, folders and times.

use std::{fmt, str::FromStr};

use crate::report::text::hides;

/// A share, `\\server\share`, or a folder on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncPath(pub(super) String);

/// A text that is not a path of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    r"a share looks like \\server\share or \\server\share\folder, without wildcards and quotes"
)]
pub struct InvalidUncPath;

/// Returns true if a text can be a Windows path, without invisible characters.
fn fits_a_path(text: &str) -> bool {
    let fits = |c: char| !"<>|?*\"".contains(c) && !hides(c);
    text.trim() == text && text.len() <= 1024 && text.chars().all(fits)
}

impl FromStr for UncPath {
    type Err = InvalidUncPath;

    fn from_str(text: &str) -> Result<Self, InvalidUncPath> {
        let path = text.trim_end_matches('\\');
        let mut parts = path.strip_prefix(r"\\").ok_or(InvalidUncPath)?.split('\\');
        let server = parts.next().unwrap_or_default();
        let share = parts.next().unwrap_or_default();
        let plain = !server.is_empty() && !share.is_empty() && !text.contains([':', '/']);
        let plain = plain && parts.all(|part| !part.is_empty());
        if plain && fits_a_path(text) {
            Ok(Self(path.to_owned()))
        } else {
            Err(InvalidUncPath)
        }
    }
}

/// A folder on the machine that runs the script, or on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub(super) String);

/// A text that is not a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(r"a folder looks like C:\Temp\package, without wildcards and quotes")]
pub struct InvalidFolder;

impl FromStr for Folder {
    type Err = InvalidFolder;

    fn from_str(text: &str) -> Result<Self, InvalidFolder> {
        if text.is_empty() || !fits_a_path(text) {
            return Err(InvalidFolder);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A time of day, `HH:MM`; noon by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockTime(pub(super) String);

impl Default for ClockTime {
    fn default() -> Self {
        Self("12:00".to_owned())
    }
}

/// A text that is not a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is HH:MM from 00:01 to 23:59; at 00:00 Defender does not run a quick scan")]
pub struct InvalidClockTime;

impl FromStr for ClockTime {
    type Err = InvalidClockTime;

    fn from_str(text: &str) -> Result<Self, InvalidClockTime> {
        let two = |digits: &str, most: u8| {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            plain && digits.parse::<u8>().is_ok_and(|number| number <= most)
        };
        match text.split_once(':') {
            Some((hours, minutes)) if text != "00:00" && two(hours, 23) && two(minutes, 59) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidClockTime),
        }
    }
}

macro_rules! shown {
    ($($type:ident)*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

shown!(UncPath Folder ClockTime);
