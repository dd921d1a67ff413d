//! The pass conditions of the checklist, one function for each item or family.

pub(super) mod antivirus;
pub(super) mod fslogix;
pub(super) mod image;
pub(super) mod intelligence;
pub(super) mod pooled;
pub(super) mod scans;
