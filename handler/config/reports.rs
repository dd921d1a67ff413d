//! Settings of reports in storage.

use super::{ReportLocation, reader::EnvReader};

pub(super) const SETTINGS: &[&str] = &["REPORTS_URL", "REPORTS_LATEST_URL", "CSV_BOM"];

pub(super) const PREFIXES: &[&str] = &["REPORTS_", "CSV_"];

/// Reports in storage.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    /// Where the history of the reports is stored. Setting `REPORTS_URL`, default
    /// `./reports`; required for serving in Azure, whose disks do not last.
    pub location: ReportLocation,
    /// Where the pointers to the newest reports are stored. Setting
    /// `REPORTS_LATEST_URL`, default as `REPORTS_URL`.
    pub latest: ReportLocation,
    /// True to start CSV files with the byte order mark that Excel needs. Setting
    /// `CSV_BOM`, `true` (default) or `false`.
    pub csv_bom: bool,
}

/// The durability that a default for the reports must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// Reports have to outlive the process: the setting is required.
    MustLast,
    /// A folder of the workstation is fine.
    AnyFolder,
}

impl ReportSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>, storage: Storage) -> Self {
        let location = reader.location("REPORTS_URL");
        if storage == Storage::MustLast && reader.text("REPORTS_URL").is_none() {
            reader.problem(
                "`REPORTS_URL` is not set; it has to be https://ACCOUNT.blob.core.windows.net/CONTAINER, \
                 because a disk in Azure does not last",
            );
        }
        let location = location.unwrap_or_else(|| ReportLocation::Directory("./reports".into()));
        Self {
            latest: reader
                .location("REPORTS_LATEST_URL")
                .unwrap_or_else(|| location.clone()),
            csv_bom: reader.flag("CSV_BOM", true),
            location,
        }
    }
}
