//! The checks of a deployment, which `doctor` and `/api/health` report.
//!
//! Every check ends in one of four states. A check that finds something missing
//! names the command that grants it.

mod grant;
mod permission;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{query::Query, report::text::visible};

pub use grant::{Grantee, quoted};
pub use permission::allows;

/// A query that costs nothing, to check that hunting responds.
pub const PROBE: Query = Query {
    name: "probe",
    text: include_str!("health/probe.kql"),
};

/// The outcome of a check, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Off because a setting is not set; nothing is wrong.
    Off,
    /// It works.
    Ok,
    /// No response, so it is not known whether something is missing.
    Unreachable,
    /// A person has to act: `fix` says how.
    Missing,
}

impl CheckState {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Ok => "OK",
            Self::Unreachable => "UNREACHABLE",
            Self::Missing => "MISSING",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Stable name, `[a-z]+(-[a-z]+)*`; docs/deploy.md lists them.
    pub id: String,
    /// The subject of the check, for people.
    pub title: String,
    /// The outcome.
    pub state: CheckState,
    /// The details of the outcome.
    pub detail: String,
    /// The command or step that fixes it; null if nothing has to be done.
    pub fix: Option<String>,
}

impl Check {
    /// A check with this outcome.
    pub fn new(id: &str, title: &str, state: CheckState, detail: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            state,
            detail: detail.into(),
            fix: None,
        }
    }

    /// The same check with its fix.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The worst state of a check.
    pub status: CheckState,
    /// Version of the product.
    pub version: String,
    /// The time of the checks, RFC 3339 in UTC.
    pub as_of: String,
    /// The checks, each after those that it depends on.
    pub checks: Vec<Check>,
}

impl Health {
    /// The checks with their worst state.
    pub fn new(version: &str, as_of: String, checks: Vec<Check>) -> Self {
        let worst = checks.iter().map(|check| check.state).max();
        Self {
            status: worst.unwrap_or(CheckState::Ok).max(CheckState::Ok),
            version: version.to_owned(),
            as_of,
            checks,
        }
    }

    /// The checks for a terminal, one line each, with the fix below.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.title.len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for check in &self.checks {
            let (state, title) = (check.state.as_str(), visible(&check.title));
            text += &format!("{state:<12} {title:<width$}  {}\n", visible(&check.detail));
            for line in check.fix.iter().flat_map(|fix| fix.lines()) {
                text += &format!("{:<12} > {}\n", "", visible(line));
            }
        }
        text + &self.sentence()
    }

    fn sentence(&self) -> String {
        let count = |state| {
            let found = self.checks.iter().filter(|check| check.state == state);
            found.count()
        };
        format!(
            "\nChecks: {} of {} OK, {} missing, {} unreachable, {} off.\n",
            count(CheckState::Ok),
            self.checks.len(),
            count(CheckState::Missing),
            count(CheckState::Unreachable),
            count(CheckState::Off)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_counts_and_each_line_has_its_fix() {
        let checks = vec![
            Check::new("identity", "Identity", CheckState::Ok, "a\u{1b}[31m"),
            Check::new("files", "File verdicts", CheckState::Missing, "no role").fix("grant\nit"),
            Check::new("key-vault", "Key Vault", CheckState::Off, "not set"),
            Check::new("hunting", "Hunting", CheckState::Unreachable, "late"),
        ];
        let health = Health::new("1.0.0", "2026-11-23T06:00:00Z".to_owned(), checks);
        assert_eq!(health.status, CheckState::Missing);
        insta::assert_snapshot!(health.text(), @r"
        OK           Identity       a\u{001B}[31m
        MISSING      File verdicts  no role
                     > grant
                     > it
        off          Key Vault      not set
        UNREACHABLE  Hunting        late

        Checks: 1 of 4 OK, 1 missing, 1 unreachable, 1 off.
        ");
        let none = Health::new("1.0.0", String::new(), Vec::new());
        assert_eq!(none.status, CheckState::Ok);
    }
}
