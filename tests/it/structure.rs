//! Rules of the layout that no compiler keeps: folders import downwards only, modules
//! of a folder form no circle, and only their own folder knows URLs, the environment,
//! the protocol of the host, and how a request is sent.

mod length;
mod ownership;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::support::package::repository;
use source::{Source, sources};

/// The modules of `handler`, from the top floor to the ground. A module imports from
/// lower floors, never from its own or a higher one.
const HANDLER: [&[&str]; 9] = [
    &["cli"],
    &["functions"],
    &["routes"],
    &["services"],
    &["clients", "server"],
    &["outbound"],
    &["telemetry"],
    &["invocation"],
    &["config"],
];

/// The modules of `functions` below the capabilities: their shared terms, shared ground.
const SHARED: [&[&str]; 3] = [
    &["desktop"],
    &["json", "query", "text", "wire"],
    &["report"],
];

/// Imports that run upwards or sideways, a line each.
fn upward(sources: &[Source], floors: &[&[&str]]) -> Vec<String> {
    let floor = |name: &str| floors.iter().position(|floor| floor.contains(&name));
    let mut wrong = Vec::new();
    for source in sources {
        let own = &source.module[0];
        let Some(from) = floor(own) else {
            wrong.push(format!("{own} is on no floor"));
            continue;
        };
        for path in source.imports() {
            let Some(other) = path.first().filter(|other| *other != own) else {
                continue;
            };
            if floor(other).is_some_and(|to| to <= from) {
                wrong.push(format!(
                    "{} imports {}",
                    source.module.join("::"),
                    path.join("::")
                ));
            }
        }
    }
    wrong
}

/// A circle among the modules of one folder; a folder counts as one module with the
/// file next to it.
fn circles(sources: &[Source]) -> Vec<String> {
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    let modules: BTreeSet<&Vec<String>> = sources.iter().map(|source| &source.module).collect();
    for source in sources {
        for path in source.imports() {
            let depth = (1..=path.len())
                .rev()
                .find(|n| modules.contains(&path[..*n].to_vec()));
            let Some(target) = depth.map(|depth| &path[..depth]) else {
                continue;
            };
            let common = source
                .module
                .iter()
                .zip(target)
                .take_while(|(a, b)| a == b)
                .count();
            if common < source.module.len() && common < target.len() {
                let from = source.module[..=common].to_vec();
                edges
                    .entry(from)
                    .or_default()
                    .insert(target[..=common].to_vec());
            }
        }
    }
    let mut found = Vec::new();
    for start in edges.keys() {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(next) = open.pop() {
            for target in edges.get(next).into_iter().flatten() {
                if target == start {
                    found.push(format!(
                        "{} imports itself through {}",
                        start.join("::"),
                        next.join("::")
                    ));
                }
                if seen.insert(target) {
                    open.push(target);
                }
            }
        }
    }
    found
}

/// The folders of `functions` that have a function.
pub(crate) fn capabilities() -> Vec<String> {
    let folders = fs::read_dir(repository().join("functions")).unwrap();
    let has_function = |path: &Path| {
        let mut entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.any(|entry| entry.path().join("function.json").is_file())
    };
    let mut names: Vec<String> = folders
        .flatten()
        .filter(|entry| has_function(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn folders_import_downwards_only() {
    let capabilities = capabilities();
    let capabilities: Vec<&str> = capabilities.iter().map(String::as_str).collect();
    let functions = [&[&capabilities[..]], &SHARED[..]].concat();
    for (krate, floors) in [("handler", &HANDLER[..]), ("functions", &functions)] {
        let sources = sources(krate);
        assert!(sources.len() > 30, "{krate}");
        assert_eq!(upward(&sources, floors), [""; 0], "{krate}");
    }
}

#[test]
fn modules_of_a_folder_form_no_circle() {
    for krate in ["handler", "functions"] {
        assert_eq!(circles(&sources(krate)), [""; 0], "{krate}");
    }
}

#[test]
fn a_planted_upward_import_is_found_in_every_form() {
    for code in [
        "use crate::services::Services;",
        "use crate::{outbound::Failure, services::Services};",
        "use crate::{\n    config::Config,\n    services::{self, hashes::HashLookup},\n};",
        "fn f() { crate::services::now(); }",
        "use super::super::services::Services;",
    ] {
        let planted = Source::new("outbound::call", code);
        assert!(!upward(&[planted], &HANDLER).is_empty(), "{code}");
    }
    let sideways = Source::new("clients::storage", "use crate::server::ApiError;");
    assert_eq!(upward(&[sideways], &HANDLER).len(), 1);
    for code in [
        "use crate::{config::Config, invocation};",
        "// use crate::services::Services;",
        "#[cfg(test)]\nmod tests { use crate::services::Services; }",
        "use super::Failure;",
    ] {
        let fine = Source::new("outbound::call", code);
        assert_eq!(upward(&[fine], &HANDLER), [""; 0], "{code}");
    }
}

#[test]
fn a_planted_circle_is_found_and_a_parent_may_use_its_modules() {
    let one = Source::new("clients::one", "use super::two::Two;");
    let two = Source::new("clients::two", "use crate::clients::three::Three;");
    let three = Source::new("clients::three", "use super::{other, one::One};");
    assert_eq!(circles(&[one.clone(), two.clone(), three]).len(), 3);
    assert_eq!(circles(&[one, two]), [""; 0]);
    let parent = Source::new("clients::one", "use self::part::Part;");
    let part = Source::new("clients::one::part", "use super::One;");
    assert_eq!(circles(&[parent, part]), [""; 0]);
}
