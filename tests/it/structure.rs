//! Rules of the layout that no compiler keeps: folders import downwards only, modules
//! of a folder form no circle, and only their own folder knows URLs, the environment,
//! the protocol of the host, and how a request is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::support::package::repository;

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

/// The modules of `functions`: capabilities, their shared terms, shared ground.
const FUNCTIONS: [&[&str]; 4] = [
    &["coverage", "golden_image", "hashes", "health", "vdi"],
    &["desktop"],
    &["query", "wire"],
    &["report"],
];

/// A source file: its module path, such as `["outbound", "call"]`, and its code.
#[derive(Clone, Debug)]
struct Source {
    module: Vec<String>,
    code: String,
}

impl Source {
    fn new(module: &str, code: &str) -> Self {
        // Tests may import what they like.
        let code = code
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        Self {
            module: module.split("::").map(str::to_owned).collect(),
            code: lines.collect::<Vec<_>>().join("\n"),
        }
    }

    /// The modules that it names, as paths from the root of its crate.
    fn imports(&self) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for (start, marker) in [("crate::", "crate::"), ("super::", "super::")] {
            for (at, _) in self.code.match_indices(start) {
                let before = self.code[..at].chars().next_back().unwrap_or(' ');
                if before.is_alphanumeric() || before == '_' || before == '$' || before == ':' {
                    continue;
                }
                let base = match marker {
                    "crate::" => Vec::new(),
                    _ => self.module[..self.module.len() - 1].to_vec(),
                };
                expand(&self.code[at + start.len()..], base, &mut found);
            }
        }
        found
    }
}

/// Adds every path of a `use` tree or an inline path that starts here.
fn expand(text: &str, base: Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    if let Some(tree) = text.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (at, c) in tree.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    expand(tree[start..at].trim(), base, found);
                    return;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(tree[start..at].trim(), base.clone(), found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return;
    }
    let mut path = base;
    match name {
        "super" => drop(path.pop()),
        "self" => {}
        name => path.push(name.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, path, found),
        None => drop(found.insert(path)),
    }
}

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
/// file beside it.
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

/// The sources of a crate.
fn sources(krate: &str) -> Vec<Source> {
    let root = repository().join(krate);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
        {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let module = path.strip_prefix(&root).unwrap().with_extension("");
                let module = module.to_string_lossy().replace('/', "::");
                if !["lib", "main"].contains(&module.as_str()) {
                    found.push(Source::new(&module, &fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    found.sort_by(|one, other| one.module.cmp(&other.module));
    found
}

#[test]
fn folders_import_downwards_only() {
    for (krate, floors) in [("handler", &HANDLER[..]), ("functions", &FUNCTIONS)] {
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
fn only_outbound_sends_and_only_the_server_knows_the_host() {
    for source in sources("handler") {
        let (module, top) = (source.module.join("::"), source.module[0].as_str());
        let sends = ["reqwest::Client", ".fetch(", "reqwest::get"];
        let is_transport = ["outbound", "clients::storage"];
        // The keys of callers' tokens are fetched where they are checked.
        let may_send = is_transport.iter().any(|own| module.starts_with(own))
            || module == "server::signing_keys";
        for word in sends {
            assert!(
                may_send || !source.code.contains(word),
                "{module} has {word}"
            );
        }
        for word in ["x-azure-functions", "ScheduleStatus", "ReturnValue"] {
            assert!(
                top == "server" || !source.code.contains(word),
                "{module} has {word}"
            );
        }
        assert!(
            top == "config" || !source.code.contains("std::env::var"),
            "{module}"
        );
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
