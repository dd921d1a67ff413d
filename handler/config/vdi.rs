//! Settings of virtual desktops and golden images.

use functions::{
    desktop::{DeviceTag, EntryModel},
    vdi::HostPattern,
};

use super::{ReportLocation, reader::EnvReader};

pub(super) const SETTINGS: &[&str] = &[
    "VDI_REPORTS_URL",
    "VDI_HOST_PATTERN",
    "GOLDEN_IMAGE_PATTERN",
    "VDI_DEVICE_TAG",
    "VDI_ENTRY_MODEL",
];

pub(super) const PREFIXES: &[&str] = &["VDI_", "GOLDEN_"];

/// Virtual desktops.
#[derive(Clone, Debug)]
pub struct VdiSettings {
    /// Where the history of the VDI report is stored. Setting `VDI_REPORTS_URL`,
    /// default as `REPORTS_URL`; device names are personal data, so in Azure a
    /// container of its own whose files expire.
    pub reports: ReportLocation,
    /// Their short names. Setting `VDI_HOST_PATTERN`; `None` turns the VDI report off.
    pub hosts: Option<HostPattern>,
    /// Short names of golden images. Setting `GOLDEN_IMAGE_PATTERN`.
    pub golden: Option<HostPattern>,
    /// The tag that they must carry. Setting `VDI_DEVICE_TAG`, default
    /// `VDI-NonPersistent`.
    pub tag: DeviceTag,
    /// How they are onboarded. Setting `VDI_ENTRY_MODEL`, `single` (default) or
    /// `multiple`.
    pub entry: EntryModel,
}

/// The expected properties of golden images, unless a caller says otherwise.
#[derive(Clone, Debug)]
pub struct ImageDefaults {
    /// Setting `VDI_ENTRY_MODEL`.
    pub entry: EntryModel,
    /// Setting `VDI_DEVICE_TAG`.
    pub tag: DeviceTag,
}

impl VdiSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>, reports: &ReportLocation) -> Self {
        let ImageDefaults { entry, tag } = ImageDefaults::read(reader);
        Self {
            reports: reader
                .location("VDI_REPORTS_URL")
                .unwrap_or_else(|| reports.clone()),
            hosts: reader.optional("VDI_HOST_PATTERN"),
            golden: reader.optional("GOLDEN_IMAGE_PATTERN"),
            tag,
            entry,
        }
    }

    /// The defaults of golden images.
    pub fn image_defaults(&self) -> ImageDefaults {
        ImageDefaults {
            entry: self.entry,
            tag: self.tag.clone(),
        }
    }
}

impl ImageDefaults {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        Self {
            entry: reader.parsed("VDI_ENTRY_MODEL"),
            tag: reader.parsed("VDI_DEVICE_TAG"),
        }
    }
}
