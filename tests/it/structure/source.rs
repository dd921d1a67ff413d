//! Source files and the modules that they import.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::package::repository;

/// A source file: its module path, such as `["outbound", "call"]`, and its code.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) module: Vec<String>,
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(module: &str, code: &str) -> Self {
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
    pub(super) fn imports(&self) -> BTreeSet<Vec<String>> {
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
pub(super) fn expand(text: &str, base: Vec<String>, found: &mut BTreeSet<Vec<String>>) {
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

/// The Rust files of a folder and its folders.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
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
pub(super) fn modules(krate: &str) -> Vec<(String, PathBuf)> {
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
pub(super) fn sources(krate: &str) -> Vec<Source> {
    modules(krate)
        .into_iter()
        .map(|(module, path)| Source::new(&module, &fs::read_to_string(path).unwrap()))
        .collect()
}
