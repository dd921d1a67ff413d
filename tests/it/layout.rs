//! Rules of the repository that no compiler enforces.

use std::{collections::BTreeSet, fs, path::Path};

use handler::{
    config::{COMMAND_SETTINGS, PLATFORM_SETTINGS, SCHEDULES, settings},
    functions::{FUNCTIONS, Function, Trigger},
    server::{Access, ProblemCode},
};
use serde_json::Value;
use strum::VariantNames;

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

/// The trigger of a binding.
fn trigger_of(binding: &Value) -> &Value {
    let bindings = binding["bindings"].as_array().unwrap();
    let is_trigger = |b: &&Value| b["type"].as_str().unwrap().ends_with("Trigger");
    bindings.iter().find(is_trigger).unwrap()
}

#[test]
fn every_schedule_belongs_to_a_timer_of_the_table() {
    let named = FUNCTIONS.iter().filter_map(|row| match row.trigger {
        Trigger::Timer { schedule, .. } => Some(schedule),
        Trigger::Http { .. } => None,
    });
    let schedules: BTreeSet<&str> = SCHEDULES.iter().copied().collect();
    assert_eq!(named.collect::<BTreeSet<&str>>(), schedules);
}

#[test]
fn every_row_of_the_table_has_a_folder_and_every_folder_a_row() {
    let folders: BTreeSet<String> = functions().into_iter().map(|(_, name, _)| name).collect();
    let rows: BTreeSet<String> = FUNCTIONS.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(folders, rows);
}

#[test]
fn every_binding_is_what_the_table_says() {
    for (_, name, binding) in functions() {
        let row = Function::named(&name).unwrap();
        let trigger = trigger_of(&binding);
        match row.trigger {
            Trigger::Http { path, access, .. } => {
                assert_eq!(trigger["type"], "httpTrigger", "{name}");
                let route = trigger["route"].as_str().unwrap();
                assert_eq!(format!("/api/{}", route.split("/{").next().unwrap()), path);
                let methods: BTreeSet<String> = trigger["methods"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|method| method.as_str().unwrap().to_ascii_uppercase())
                    .collect();
                let taken = row.methods().into_iter().map(|method| method.to_string());
                assert_eq!(methods, taken.collect(), "{name}");
                let is_open = !matches!(access, Access::Role(_));
                assert_eq!(row.may_be_anonymous(), is_open, "{name}");
            }
            Trigger::Timer { schedule, .. } => {
                assert_eq!(trigger["type"], "timerTrigger", "{name}");
                assert_eq!(trigger["schedule"], format!("%{schedule}%"), "{name}");
            }
        }
    }
}

#[test]
fn every_function_is_in_the_documents_and_every_route_described() {
    let api = read("docs/api.md");
    let described = serde_json::to_value(handler::functions::openapi()).unwrap();
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    for row in FUNCTIONS {
        let section = match row.trigger {
            Trigger::Http { .. } => format!("\n## `{}`\n", row.name),
            Trigger::Timer { .. } => format!("`{}`", row.name),
        };
        assert!(api.contains(&section), "{} in docs/api.md", row.name);
        if let Trigger::Http { path, .. } = row.trigger {
            // The explorer shows the description; it does not appear in it.
            let is_described = paths.iter().any(|known| known.starts_with(path));
            assert_eq!(is_described, row.name != "explorer", "{path}");
        }
    }
}

/// The ids of the tables in `tests/HOST.md` and `tests/FAULTS.md`.
fn ids() -> BTreeSet<String> {
    let tables = ["tests/HOST.md", "tests/FAULTS.md"].map(read).concat();
    let rows = tables.lines().filter_map(|line| line.strip_prefix("| `"));
    let ids = rows.filter_map(|row| row.split('`').next());
    ids.filter(|id| is_numbered(id))
        .map(str::to_owned)
        .collect()
}

/// Prefixes of ids that would be ambiguous without one.
const KINDS: [&str; 5] = ["field", "coverage", "vdi", "api", "stat"];

/// Returns true for the id of a case: a letter and digits, perhaps with a prefix.
fn is_numbered(id: &str) -> bool {
    let short = KINDS
        .iter()
        .find_map(|kind| id.strip_prefix(kind)?.strip_prefix('_'));
    is_number(short.unwrap_or(id))
}

/// Returns true for a letter and digits, such as `h07`.
fn is_number(word: &str) -> bool {
    let mut letters = word.chars();
    let starts_well = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    let digits = letters.as_str();
    starts_well && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The ids that the name of a test starts with: `vdi_m1_m2_pages_are_read` has two.
fn ids_of(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let (kind, words) = match words.split_first() {
        Some((first, rest)) if KINDS.contains(first) => (format!("{first}_"), rest),
        _ => (String::new(), &words[..]),
    };
    let numbers = words.iter().take_while(|word| is_number(word)).count();
    // A name that is only an id is not a sentence.
    let is_sentence = words.len() > numbers + 1;
    let ids = words[..numbers].iter().filter(|_| is_sentence);
    ids.map(|number| format!("{kind}{number}")).collect()
}

#[test]
fn every_id_of_a_test_name_counts() {
    assert_eq!(ids_of("vdi_m1_m2_pages_are_read"), ["vdi_m1", "vdi_m2"]);
    assert_eq!(ids_of("a04_a05_a_server_error"), ["a04", "a05"]);
    assert_eq!(ids_of("coverage_runs_are_listed"), [""; 0]);
    assert_eq!(ids_of("h07"), [""; 0]);
}

#[test]
fn every_numbered_case_has_a_row_and_a_test() {
    let mut tested = BTreeSet::new();
    for folder in ["handler", "functions", "tests/it"] {
        for file in files(&repository().join(folder), ".rs") {
            let text = fs::read_to_string(file).unwrap();
            for name in text.split("fn ").skip(1) {
                let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                tested.extend(ids_of(&name[..end.unwrap_or(0)]));
            }
        }
    }
    assert_eq!(tested, ids());
}

#[test]
fn a_call_answers_within_the_functions_time() {
    let host: Value = serde_json::from_str(&read("host.json")).unwrap();
    assert_eq!(host["functionTimeout"], "00:10:00");
    assert!(read("docs/configuration.md").contains("`LOOKUP_DEADLINE_SECONDS` | `90` | time within which a call of the HTTP API answers with the results so far; 1 to 200"));
}

fn all_settings() -> Vec<&'static str> {
    [
        &settings()[..],
        PLATFORM_SETTINGS,
        SCHEDULES,
        COMMAND_SETTINGS,
    ]
    .concat()
}

#[test]
fn every_capability_has_its_tests() {
    let capabilities = crate::structure::capabilities();
    assert!(capabilities.len() >= 6);
    for name in capabilities {
        let tests = repository().join(format!("tests/it/{name}.rs"));
        assert!(tests.is_file(), "{}", tests.display());
    }
}

#[test]
fn only_functions_that_need_no_key_are_anonymous() {
    for row in FUNCTIONS
        .iter()
        .filter(|row| matches!(row.trigger, Trigger::Http { .. }))
    {
        let path = files(&repository().join("functions"), "function.json")
            .into_iter()
            .find(|path| {
                path.parent()
                    .is_some_and(|folder| folder.ends_with(row.name))
            });
        let text = fs::read_to_string(path.expect("a folder")).unwrap();
        let is_anonymous = text.contains(r#""authLevel": "anonymous""#);
        assert_eq!(is_anonymous, row.may_be_anonymous(), "{}", row.name);
        assert!(is_anonymous || !text.contains("authLevel"), "{}", row.name);
    }
}

#[test]
fn every_code_of_a_problem_is_in_the_documents() {
    let api = read("docs/api.md");
    let of_others = ["outbound", "item"];
    for code in ProblemCode::VARIANTS
        .iter()
        .filter(|code| !of_others.contains(code))
    {
        assert!(api.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_setting_is_in_the_documents() {
    let configuration = read("docs/configuration.md");
    for name in all_settings() {
        assert!(configuration.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_setting_that_the_documents_name_is_read() {
    let configuration = read("docs/configuration.md");
    let rows = configuration
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let known: BTreeSet<&str> = all_settings().into_iter().chain(["NO_COLOR"]).collect();
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
        let allowed = name.starts_with("handler/clients/") || name.starts_with("handler/config");
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
