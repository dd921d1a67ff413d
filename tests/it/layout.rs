//! Rules of the repository that no compiler keeps.

use std::{collections::BTreeSet, fs, path::Path};

use handler::config::{COMMAND_SETTINGS, PLATFORM_SETTINGS, SCHEDULES, SETTINGS};
use serde_json::Value;

use crate::support::package::repository;

/// Function folders: capability, name, binding.
fn functions() -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for capability in fs::read_dir(repository().join("functions"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for function in fs::read_dir(capability.path()).unwrap().flatten() {
            let Ok(text) = fs::read(function.path().join("function.json")) else {
                continue;
            };
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            found.push((
                name(&capability.path()),
                name(&function.path()),
                serde_json::from_slice(&text).unwrap(),
            ));
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files with this ending below a folder.
fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_function_has_a_route_a_trigger_and_a_place_in_the_documents() {
    let router = read("handler/router.rs");
    let api = read("docs/api.md");
    assert!(!functions().is_empty());
    for (_, name, binding) in functions() {
        let trigger = binding["bindings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|b| b["type"].as_str().unwrap().ends_with("Trigger"));
        let registered = match trigger.unwrap()["type"].as_str().unwrap() {
            "httpTrigger" => format!(".http(\n            \"{name}\""),
            _ => format!(".envelope(\n            \"{name}\""),
        };
        assert!(
            router.contains(&registered)
                || router.contains(&registered.replace("\n            ", "")),
            "{registered}"
        );
        assert!(api.contains(&format!("`{name}`")), "{name} in docs/api.md");
    }
}

/// Ids that have a test: cases of the host's protocol, and the rows of the
/// fault matrix that exist so far.
fn ids() -> Vec<String> {
    let number = |letter: char, numbers: &[std::ops::RangeInclusive<usize>]| {
        numbers
            .iter()
            .cloned()
            .flatten()
            .map(move |n| format!("{letter}{n:02}"))
            .collect::<Vec<_>>()
    };
    [
        number('h', &[1..=30]),
        number('x', &[1..=15]),
        number('a', &[1..=30]),
        number('b', &[1..=6, 12..=16, 20..=22]),
        number('c', &[1..=8, 10..=17, 23..=25]),
        number('d', &[1..=12]),
        number('s', &[1..=3, 5..=11]),
    ]
    .concat()
}

#[test]
fn every_case_and_row_has_a_test_that_starts_with_its_id() {
    let tests: Vec<String> = ["handler", "functions", "tests/it"]
        .into_iter()
        .flat_map(|folder| files(&repository().join(folder), ".rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for id in ids() {
        assert!(
            tests.iter().any(|text| text.contains(&format!("fn {id}_"))),
            "{id}"
        );
    }
}

#[test]
fn the_routes_of_the_bindings_are_those_of_the_router() {
    let paths = [
        ("hash_lookup", handler::routes::hashes::PATH),
        ("coverage", handler::routes::coverage::PATH),
        ("golden_image", handler::routes::golden_image::PATH),
        ("vdi", handler::routes::vdi::PATH),
        ("health", handler::routes::health::PATH),
        ("explorer", handler::routes::explorer::PATH),
    ];
    for (_, name, binding) in functions() {
        let Some(trigger) = binding["bindings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|b| b["type"] == "httpTrigger")
        else {
            continue;
        };
        let (_, path) = paths
            .iter()
            .find(|(known, _)| *known == name)
            .expect("a path");
        let route = trigger["route"].as_str().unwrap();
        assert_eq!(format!("/api/{}", route.split("/{").next().unwrap()), *path);
    }
}

#[test]
fn a_call_answers_within_the_functions_time() {
    let host: Value = serde_json::from_str(&read("host.json")).unwrap();
    assert_eq!(host["functionTimeout"], "00:10:00");
    assert!(read("docs/configuration.md").contains("`LOOKUP_DEADLINE_SECONDS` | `90` | time within which a call of the HTTP API answers, with what it has; 1 to 200"));
}

#[test]
fn every_setting_is_in_the_documents() {
    let configuration = read("docs/configuration.md");
    let all = SETTINGS.iter().chain(&PLATFORM_SETTINGS).chain(&SCHEDULES);
    for name in all.chain(&COMMAND_SETTINGS) {
        assert!(configuration.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_setting_that_the_documents_name_is_read() {
    let configuration = read("docs/configuration.md");
    let rows = configuration
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let known: BTreeSet<&str> = SETTINGS
        .iter()
        .chain(&PLATFORM_SETTINGS)
        .chain(&SCHEDULES)
        .chain(&COMMAND_SETTINGS)
        .copied()
        .chain(["NO_COLOR"])
        .collect();
    for name in rows {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn the_pure_crate_knows_no_network_no_clock_and_no_runtime() {
    let manifest = read("functions/Cargo.toml");
    for name in [
        "tokio",
        "reqwest",
        "axum",
        "azure",
        "hyper",
        "quick_cache",
        "handler",
    ] {
        assert!(!manifest.contains(name), "{name}");
    }
    for file in files(&repository().join("functions"), ".rs") {
        let text = fs::read_to_string(&file).unwrap();
        for word in [
            "std::net",
            "std::env",
            "SystemTime",
            "Instant::now",
            "now_utc",
            "async fn",
            "std::fs",
        ] {
            assert!(!text.contains(word), "{word} in {}", file.display());
        }
    }
}

#[test]
fn only_the_clients_know_urls_of_services() {
    for file in files(&repository().join("handler"), ".rs") {
        let name = file
            .strip_prefix(repository())
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let code = fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let allowed = name.starts_with("handler/clients/") || name == "handler/config.rs";
        assert!(allowed || !code.contains("microsoft.com"), "{name}");
        assert!(
            name == "handler/config.rs" || !code.contains("env::var"),
            "{name}"
        );
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for folder in ["handler", "functions", "tests"] {
        for file in files(&repository().join(folder), ".rs") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//! "), "{}", file.display());
        }
    }
}
