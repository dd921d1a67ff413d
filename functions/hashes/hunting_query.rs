//! The advanced-hunting query for a file.

use super::{FileHash, FileProfile};

/// Both hashes of a file if they are known: some tables have only SHA-1.
pub(super) fn known_hashes(hash: FileHash, file: Option<&FileProfile>) -> Vec<FileHash> {
    let of_file = file.map(|file| file.known_hashes(hash)).unwrap_or_default();
    let mut hashes = if of_file.is_empty() {
        vec![hash]
    } else {
        of_file
    };
    hashes.sort();
    hashes
}

/// The KQL text that lists where a file was seen in the last 30 days.
///
/// A [`FileHash`] consists of digits only, so nothing can break out of the text.
pub(super) fn sightings(hashes: &[FileHash]) -> String {
    let list = hashes
        .iter()
        .map(|hash| format!("\"{hash}\""))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "let hashes = dynamic([{list}]);\n\
         union isfuzzy=true DeviceFileEvents, DeviceProcessEvents, DeviceImageLoadEvents\n\
         | where Timestamp > ago(30d)\n\
         | where SHA1 in~ (hashes) or SHA256 in~ (hashes) or InitiatingProcessSHA1 in~ (hashes) or InitiatingProcessSHA256 in~ (hashes)\n\
         | summarize FirstSeen=min(Timestamp), LastSeen=max(Timestamp), Events=count(), Actions=make_set(ActionType, 10), \
         Paths=make_set(FolderPath, 10) by DeviceId, DeviceName, FileName, SHA1, SHA256\n\
         | top 100 by LastSeen desc"
    )
}
