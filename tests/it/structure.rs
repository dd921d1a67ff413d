//! Rules of the layout that no compiler keeps: folders import downwards only, modules
//! of a folder form no circle, and only their own folder knows URLs, the environment,
//! the protocol of the host, and how a request is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
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

/// The Rust files of a folder and its folders.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules of a crate and their files, without tests and without the roots.
fn modules(krate: &str) -> Vec<(String, PathBuf)> {
    let root = repository().join(krate);
    let mut found = Vec::new();
    for path in rust_files(&root) {
        let module = path.strip_prefix(&root).unwrap().with_extension("");
        let module = module.to_string_lossy().replace('/', "::");
        let is_root = ["lib", "main"].contains(&module.as_str());
        if !is_root && !module.ends_with("::tests") {
            found.push((module, path));
        }
    }
    found.sort();
    found
}

/// The sources of a crate.
fn sources(krate: &str) -> Vec<Source> {
    modules(krate)
        .into_iter()
        .map(|(module, path)| Source::new(&module, &fs::read_to_string(path).unwrap()))
        .collect()
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

/// Words of code that only some modules may have.
struct Reserved {
    what: &'static str,
    words: &'static [&'static str],
    owners: &'static [&'static str],
}

const RESERVED: [Reserved; 4] = [
    Reserved {
        what: "only outbound sends; storage has its own pipeline, and the keys of callers' tokens are fetched where they are checked",
        words: &[
            "reqwest::get",
            "reqwest::Client",
            "ClientBuilder",
            ".fetch(",
            "hyper_util::client",
            "TcpStream::connect",
        ],
        owners: &["outbound", "clients::storage", "server::signing_keys"],
    },
    Reserved {
        what: "only the server knows the protocol of the Functions host",
        words: &["x-azure-functions", "ScheduleStatus", "ReturnValue"],
        owners: &["server"],
    },
    Reserved {
        what: "only config reads the environment",
        words: &["env::var", "env::vars"],
        owners: &["config"],
    },
    Reserved {
        what: "only clients know URLs and API versions; config has their defaults, and token rules the issuer of a cloud",
        words: &[
            "microsoft.com",
            "azure.com",
            "windows.net",
            "microsoftonline",
            "azure.us",
            "azure.cn",
            "api-version",
            "api_version",
        ],
        owners: &[
            "clients",
            "config",
            "outbound::identity",
            "server::token_rules",
        ],
    },
];

/// The reserved words that a module has although it does not own them.
fn strange_words(source: &Source) -> Vec<String> {
    let module = source.module.join("::");
    let owns = |owner: &&str| module == **owner || module.starts_with(&format!("{owner}::"));
    let code = flat(&source.code);
    let strange = RESERVED
        .iter()
        .filter(|one| !one.owners.iter().any(owns));
    strange
        .flat_map(|one| one.words.iter().map(move |word| (one.what, word)))
        .filter(|(_, word)| code.contains(*word))
        .map(|(what, word)| format!("{module} has {word}: {what}"))
        .collect()
}

/// Code whose `use` trees are written out, so that `use reqwest::{Client, header}` has
/// `reqwest::Client`.
fn flat(code: &str) -> String {
    let mut text = code.to_owned();
    for (at, _) in code.match_indices("use ") {
        let Some(tree) = code[at + 4..].split(';').next() else {
            continue;
        };
        let mut found = BTreeSet::new();
        expand(tree, Vec::new(), &mut found);
        for path in found {
            text.push('\n');
            text.push_str(&path.join("::"));
        }
    }
    text
}

#[test]
fn each_module_keeps_to_what_it_owns() {
    let found: Vec<String> = sources("handler").iter().flat_map(strange_words).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn planted_words_are_found_in_every_form() {
    for code in [
        "fn f() { reqwest::Client::new(); }",
        "use reqwest::{Client, header};",
        "use std::env;\nfn f() { env::var(\"HOME\"); }",
        "const URL: &str = \"https://management.azure.com\";",
        "let query = [(\"api-version\", \"2024-01-01\")];",
    ] {
        let planted = Source::new("services::coverage", code);
        assert_eq!(strange_words(&planted).len(), 1, "{code}");
        let owner = Source::new(
            "clients::defender",
            "const U: &str = \"https://a.azure.com\";",
        );
        assert_eq!(strange_words(&owner), [""; 0]);
    }
}

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
