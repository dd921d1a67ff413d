//! The guard between a verdict and an Indicator: facts that make one useless or harmful.

use super::FileProfile;

/// The needs of Defender to enforce an Indicator for a file, on each platform.
///
/// Source: <https://learn.microsoft.com/defender-endpoint/indicator-file>, 2026-07-03
pub(super) const ENFORCED_FOR: &str = "Windows enforces it for PE files (.exe, .dll), macOS for Mach-O files, \
    shell scripts and AppleScript, Linux (agent 101.85.27 or newer) for ELF files and shell scripts; \
    macOS and Linux need file hash computation turned on";

/// Returns true if an Indicator for the file would not hit the system itself.
pub(super) fn may_be_blocked(file: Option<&FileProfile>) -> bool {
    file.is_none_or(|file| !is_signed_by_microsoft(file))
}

/// Returns true if Defender reports that the file is not a Windows executable.
pub(super) fn is_other_than_executable(file: &FileProfile) -> bool {
    file.is_pe_file == Some(false)
}

/// Returns true if the file has a valid signature of Microsoft.
pub(super) fn is_signed_by_microsoft(file: &FileProfile) -> bool {
    let signer = file
        .signer
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    file.is_valid_certificate == Some(true)
        && (signer == "microsoft corporation" || signer.starts_with("microsoft windows"))
}
