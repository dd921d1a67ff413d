//! The files that an answer is about.
//!
//! A caller asks about hashes, and a person thinks in files. The results of one file are
//! counted as one: both of its hashes, its MD5, and what the sender's entities join. This
//! is the only definition of "checked": `worst`, `complete`, exit codes, comments, tables
//! and STAT use it.

use std::collections::HashMap;

use super::{HashResult, ItemStatus, Verdict};

/// The results that are about one file, in the order asked; never empty.
#[derive(Clone, Debug)]
pub struct FileAnswer<'a> {
    results: Vec<&'a HashResult>,
}

/// The state of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FileState<'a> {
    /// Defender answered for it.
    Checked,
    /// The answer is too old, but shown because Defender cannot be reached.
    Stale(&'a HashResult),
    /// A hash was not asked, or asked in vain. A retry may help.
    NotAsked(&'a HashResult),
    /// None of its hashes is a SHA-1 or SHA-256 that can be asked.
    Unusable(&'a HashResult),
}

impl<'a> FileAnswer<'a> {
    /// The most severe verdict on it; `None` without one.
    pub fn verdict(&self) -> Option<Verdict> {
        self.results
            .iter()
            .filter_map(|result| result.verdict)
            .max()
    }

    /// The result with the most severe verdict, else the first one. A fresh one and one
    /// with a record of the file come first.
    pub fn decisive(&self) -> &'a HashResult {
        let rank = |result: &HashResult| (result.verdict, !result.stale, result.file.is_some());
        let best =
            self.results
                .iter()
                .copied()
                .reduce(|best, result| match rank(result) > rank(best) {
                    true => result,
                    false => best,
                });
        best.unwrap_or(self.results[0])
    }

    /// The SHA-256 where it is known, else the hash as asked.
    pub fn hash(&self) -> &'a str {
        let known = self.results.iter().copied().find_map(sha256);
        known.unwrap_or(&self.decisive().hash)
    }

    /// The name under which the sender knows the file.
    pub fn name(&self) -> Option<&'a str> {
        let mut names = self.results.iter().copied();
        names.find_map(|result| result.file_name.as_deref())
    }

    /// The results for its hashes, in the order asked.
    pub fn results(&self) -> &[&'a HashResult] {
        &self.results
    }

    /// Its state.
    pub fn state(&self) -> FileState<'a> {
        let results = || self.results.iter().copied();
        let is_pending = |result: &&HashResult| {
            let asked = !matches!(result.status, ItemStatus::Ok | ItemStatus::Invalid);
            asked && !results().any(|known| names(known).any(|hash| hash == result.hash))
        };
        let answered = || results().filter(|result| result.verdict.is_some());
        if let Some(pending) = results().find(is_pending) {
            FileState::NotAsked(pending)
        } else if answered().any(|result| !result.stale) {
            FileState::Checked
        } else {
            match answered().next() {
                Some(stale) => FileState::Stale(stale),
                None => FileState::Unusable(self.results[0]),
            }
        }
    }

    /// Returns true if Defender answered for it.
    pub fn is_checked(&self) -> bool {
        self.state() == FileState::Checked
    }
}

/// The files of these results, in the order in which they were first asked.
pub fn files(results: &[HashResult]) -> Vec<FileAnswer<'_>> {
    let mut groups = Groups::new(results);
    let mut by_hash: HashMap<String, usize> = HashMap::new();
    let mut by_sender: HashMap<usize, usize> = HashMap::new();
    for (index, result) in results.iter().enumerate() {
        for hash in own_digits(result).into_iter().chain(names(result)) {
            let first = *by_hash.entry(hash).or_insert(index);
            groups.join(first, index);
        }
    }
    for (index, result) in results.iter().enumerate() {
        if let Some(number) = result.same_file {
            let first = *by_sender.entry(number).or_insert(index);
            groups.join(first, index);
        }
    }
    groups.files(results)
}

/// The digits of the result's own input: of `md5:...` those behind the colon.
fn own_digits(result: &HashResult) -> Option<String> {
    let digits = result.hash.rsplit(':').next().unwrap_or_default().trim();
    let is_hash = [32, 40, 64].contains(&digits.len());
    is_hash.then(|| digits.to_ascii_lowercase())
}

/// The hashes that Defender names for the file of a result.
fn names(result: &HashResult) -> impl Iterator<Item = String> {
    let file = result.file.as_ref();
    let of = |hash: Option<&String>, length: usize| {
        hash.filter(|hash| hash.len() == length)
            .map(|hash| hash.to_ascii_lowercase())
    };
    let sha256 = of(file.and_then(|file| file.sha256.as_ref()), 64);
    let sha1 = of(file.and_then(|file| file.sha1.as_ref()), 40);
    let md5 = of(file.and_then(|file| file.md5.as_ref()), 32);
    [sha256, sha1, md5].into_iter().flatten()
}

/// The SHA-256 of a result's file, as asked or as Defender names it.
fn sha256(result: &HashResult) -> Option<&str> {
    let asked = (result.hash.len() == 64 && result.hash_type.is_some()).then_some(&result.hash);
    let named = || result.file.as_ref()?.sha256.as_ref();
    asked
        .or_else(named)
        .map(String::as_str)
        .filter(|hash| hash.len() == 64)
}

/// Results that are joined step by step. Two files with different SHA-256 are never
/// joined: a SHA-1 or MD5 can be made to collide.
struct Groups {
    parent: Vec<usize>,
    sha256: Vec<Option<String>>,
}

impl Groups {
    fn new(results: &[HashResult]) -> Self {
        let lower = |hash: &str| hash.to_ascii_lowercase();
        Self {
            parent: (0..results.len()).collect(),
            sha256: results.iter().map(|one| sha256(one).map(lower)).collect(),
        }
    }

    fn root(&mut self, mut index: usize) -> usize {
        while self.parent[index] != index {
            self.parent[index] = self.parent[self.parent[index]];
            index = self.parent[index];
        }
        index
    }

    /// Joins the groups of two results. The earlier one stays the root.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (first, second) = (one.min(other), one.max(other));
        let differ =
            matches!((&self.sha256[first], &self.sha256[second]), (Some(a), Some(b)) if a != b);
        if first == second || differ {
            return;
        }
        self.parent[second] = first;
        if self.sha256[first].is_none() {
            self.sha256[first] = self.sha256[second].take();
        }
    }

    fn files<'a>(&mut self, results: &'a [HashResult]) -> Vec<FileAnswer<'a>> {
        let mut files: Vec<FileAnswer<'a>> = Vec::new();
        let mut position: HashMap<usize, usize> = HashMap::new();
        for (index, result) in results.iter().enumerate() {
            let at = *position.entry(self.root(index)).or_insert(files.len());
            match files.get_mut(at) {
                Some(file) => file.results.push(result),
                None => files.push(FileAnswer {
                    results: vec![result],
                }),
            }
        }
        files
    }
}

#[cfg(test)]
mod tests;
