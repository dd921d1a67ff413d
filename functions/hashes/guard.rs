//! The guard between a verdict and an Indicator: facts that make one useless or harmful.

use super::FileProfile;

/// Returns true if Defender would enforce an Indicator for the file without harm.
///
/// Defender enforces file Indicators only on Windows executables, and one for a file that
/// Microsoft signed would hit the system itself.
///
/// Source: <https://learn.microsoft.com/defender-endpoint/indicator-file>
pub(super) fn may_be_enforced(file: Option<&FileProfile>) -> bool {
    file.is_none_or(|file| !is_other_than_executable(file) && !is_signed_by_microsoft(file))
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
