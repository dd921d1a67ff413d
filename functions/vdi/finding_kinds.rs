//! The items of the checklist that are about a tenant.
//!
//! A new item needs a row here, its devices in `findings.rs`, and a test.

use crate::desktop::Severity;

/// A kind of finding.
pub(super) struct Kind {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) title: &'static str,
    pub(super) next_step: &'static str,
}

/// The kinds, in the order in which they are reported.
pub(super) const KINDS: [Kind; 8] = [
    Kind {
        id: "TN-02",
        severity: Severity::Critical,
        title: "A golden image is onboarded",
        next_step: "offboard the image, run `golden-image script clean-image` on it as SYSTEM, and reseal it; its record expires with the retention period",
    },
    Kind {
        id: "TN-03",
        severity: Severity::Critical,
        title: "Several machines report under one device id",
        next_step: "the image was sealed while onboarded: offboard and clean it with `golden-image script clean-image`, reseal it, and recreate the desktops",
    },
    Kind {
        id: "TN-01",
        severity: Severity::High,
        title: "A host has several live device records",
        next_step: "let the onboarding script run only after the last rename and restart, with single entries; old records expire with the retention period",
    },
    Kind {
        id: "TN-05",
        severity: Severity::High,
        title: "Antivirus is old, passive or disabled",
        next_step: "check the share with security intelligence and its task (`golden-image script security-intelligence`); remove other antivirus products",
    },
    Kind {
        id: "TN-08",
        severity: Severity::High,
        title: "An expected host has no live device record",
        next_step: "check that the host runs, then check its startup script and the WDATPOnboarding events in the Application log",
    },
    Kind {
        id: "TN-04",
        severity: Severity::Medium,
        title: "The device tag is missing",
        next_step: "write it into the image with `golden-image script device-tag`, and add it to these devices with `vdi tag --apply`",
    },
    Kind {
        id: "TN-06",
        severity: Severity::Medium,
        title: "The sensor of a live device is impaired",
        next_step: "check its connection to the service (Microsoft Defender for Endpoint Client Analyzer), and restart the sensor",
    },
    Kind {
        id: "TN-07",
        severity: Severity::Low,
        title: "The portal hides potential duplicate records",
        next_step: "to see them in the portal, turn the setting off: Settings > Endpoints > Advanced features; hidden records are not removed",
    },
];
