//! The length of files.

use std::fs;

use super::source::{modules, rust_files, sources};
use crate::support::package::repository;

/// Most lines of a source file without its tests.
const MAX_LINES: usize = 250;

/// Most lines of the median source file.
const MAX_MEDIAN: usize = 130;

/// Tables may be longer: one entry for each row of a list that is not ours.
const TABLES: [&str; 1] = ["golden_image::checklist"];

#[test]
fn files_are_short() {
    for krate in ["handler", "functions"] {
        let mut lines = Vec::new();
        for (module, path) in modules(krate) {
            let text = fs::read_to_string(path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            let count = code.lines().count();
            let is_table = TABLES.contains(&module.as_str());
            assert!(
                is_table || count <= MAX_LINES,
                "{krate}::{module} has {count} lines"
            );
            lines.push(count);
        }
        lines.sort_unstable();
        let median = lines[lines.len() / 2];
        assert!(median <= MAX_MEDIAN, "{krate}: {median}");
    }
}

#[test]
fn test_files_have_one_subject() {
    let folder = repository().join("tests/it");
    for path in rust_files(&folder) {
        let count = fs::read_to_string(&path).unwrap().lines().count();
        assert!(count <= 400, "{} has {count} lines", path.display());
    }
}

#[test]
fn no_module_is_called_mod_and_none_has_a_path_of_its_own() {
    for krate in ["handler", "functions", "tests/sandbox"] {
        for source in sources(krate) {
            assert_ne!(source.module.last().unwrap(), "mod", "{:?}", source.module);
            assert!(!source.code.contains("#[path"), "{:?}", source.module);
        }
    }
}
