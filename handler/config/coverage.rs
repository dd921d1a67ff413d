//! Settings of the coverage report and of saved Coverage workbooks.

use super::{Scope, reader::EnvReader};

pub(super) const SETTINGS: &[&str] = &[
    "COVERAGE_SCOPE",
    "COVERAGE_ACCOUNT_SETTINGS",
    "WORKBOOK_REPAIR",
];

pub(super) const PREFIXES: &[&str] = &["COVERAGE_", "WORKBOOK_"];

/// The coverage report and saved Coverage workbooks.
#[derive(Clone, Debug)]
pub struct CoverageSettings {
    /// The subscriptions of the report. Setting `COVERAGE_SCOPE`, default everything
    /// that the identity can read.
    pub scope: Scope,
    /// True to read the Defender setting of every AI account, one call each.
    /// Setting `COVERAGE_ACCOUNT_SETTINGS`, `true` or `false` (default).
    pub account_settings: bool,
    /// True to write patched workbooks. Setting `WORKBOOK_REPAIR`, `true` or
    /// `false` (default: only reported).
    pub workbook_repair: bool,
}

impl CoverageSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        let text = reader.text("COVERAGE_SCOPE").unwrap_or_default();
        let scope = Scope::read(text).unwrap_or_else(|unknown| {
            reader.problem(format!(
                "`COVERAGE_SCOPE` holds {unknown}, not `mg:NAME` or `sub:GUID`; separate several by spaces"
            ));
            Scope::default()
        });
        Self {
            scope,
            account_settings: reader.flag("COVERAGE_ACCOUNT_SETTINGS", false),
            workbook_repair: reader.flag("WORKBOOK_REPAIR", false),
        }
    }
}
