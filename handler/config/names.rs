//! The names of all settings, and names that look like ours but are not.

use std::{collections::BTreeMap, fmt};

use super::{
    callers, command, coverage, defender, graph, identity, notify, platform, reader::printable,
    reports, resource_manager, vdi,
};

/// Names and prefixes of each section.
const SECTIONS: [(&[&str], &[&str]); 9] = [
    (defender::SETTINGS, defender::PREFIXES),
    (graph::SETTINGS, graph::PREFIXES),
    (resource_manager::SETTINGS, resource_manager::PREFIXES),
    (coverage::SETTINGS, coverage::PREFIXES),
    (reports::SETTINGS, reports::PREFIXES),
    (notify::SETTINGS, notify::PREFIXES),
    (vdi::SETTINGS, vdi::PREFIXES),
    (callers::SETTINGS, callers::PREFIXES),
    (identity::SETTINGS, identity::PREFIXES),
];

/// Largest number of changed letters for a suggestion.
const MAX_CHANGES: usize = 4;

/// Settings of the product that are read from the environment.
pub fn settings() -> Vec<&'static str> {
    let names = SECTIONS.iter().flat_map(|(names, _)| names.iter());
    names.copied().collect()
}

/// Variables that the platform or the Functions host sets and the product reads.
pub const PLATFORM_SETTINGS: &[&str] = platform::SETTINGS;

/// Settings that only commands read.
pub const COMMAND_SETTINGS: &[&str] = command::SETTINGS;

/// Settings that the Functions host reads: six-field cron in UTC, one for each timer
/// function.
pub const SCHEDULES: &[&str] = &["COVERAGE_SCHEDULE", "WORKBOOK_SCHEDULE", "VDI_SCHEDULE"];

/// A variable with one of our prefixes that is not a setting of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSetting {
    /// Its name.
    pub name: String,
    /// The setting that was probably meant.
    pub suggestion: Option<&'static str>,
}

impl fmt::Display for UnknownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a setting", printable(&self.name))?;
        match self.suggestion {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => write!(f, "; docs/configuration.md lists them"),
        }
    }
}

/// The variables with one of our prefixes that are not settings.
pub(super) fn unknown(variables: &BTreeMap<String, String>) -> Vec<UnknownSetting> {
    let known: Vec<&str> = [&settings()[..], SCHEDULES, COMMAND_SETTINGS].concat();
    let is_ours = |name: &String| {
        let mut prefixes = SECTIONS.iter().flat_map(|(_, prefixes)| prefixes.iter());
        prefixes.any(|prefix| name.starts_with(prefix))
    };
    let unknown = variables
        .keys()
        .filter(|name| is_ours(name) && !known.contains(&name.as_str()));
    unknown
        .map(|name| UnknownSetting {
            name: name.clone(),
            suggestion: closest(name, &known),
        })
        .collect()
}

fn closest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let changes = |known: &&'static str| (strsim::damerau_levenshtein(name, known), *known);
    let (changes, closest) = known.iter().map(changes).min()?;
    (changes <= MAX_CHANGES).then_some(closest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_prefix_or_shares_one_with_other_products() {
        let shared = ["API_", "AZURE_", "LOGIN_"];
        let prefixes = SECTIONS.iter().flat_map(|(_, prefixes)| prefixes.iter());
        let all: Vec<&str> = prefixes.copied().chain(shared).collect();
        for name in settings().iter().chain(SCHEDULES) {
            assert!(all.iter().any(|prefix| name.starts_with(prefix)), "{name}");
        }
    }

    #[test]
    fn a_misspelled_name_gets_the_closest_one_and_a_strange_one_none() {
        let of = |name: &str| {
            let variables = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
            unknown(&variables).first().map(ToString::to_string)
        };
        for (name, meant) in [
            ("DEFENDER_CALL_PER_MINUTE", "DEFENDER_CALLS_PER_MINUTE"),
            ("COVERAGE_SCOPES", "COVERAGE_SCOPE"),
            ("COVERAGE_SHEDULE", "COVERAGE_SCHEDULE"),
            ("KEY_VAULT_URI", "KEY_VAULT_URL"),
            ("CSV_BON", "CSV_BOM"),
        ] {
            let line = of(name).unwrap();
            assert!(
                line.ends_with(&format!("did you mean `{meant}`?")),
                "{line}"
            );
        }
        let strange = of("COVERAGE_NEW_THING_OF_TOMORROW").unwrap();
        assert!(strange.contains("docs/configuration.md"), "{strange}");
        for name in [
            "COVERAGE_SCOPE",
            "AZURE_ANYTHING",
            "PATH",
            "API_KEY",
            "KEY_FILE",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
