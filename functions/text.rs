//! Hashes in texts that people and tools write: mail, advisories, tables, logs.
//!
//! Nothing that looks like a hash vanishes: it is found, or there is an item that says
//! why it is not. A text is read in several ways, because a hash can be broken by tags,
//! escapes and line ends; a part of a hash is never reported on its own.

mod columns;
mod joined;
mod label;
mod readings;
mod token;

use std::collections::{HashMap, HashSet};

pub(crate) use label::{Label, label_of};

/// Fewest hexadecimal digits that look like a hash.
const MIN_DIGITS: usize = 20;

/// Something in a text that looks like a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HashLike {
    /// Hexadecimal digits in lowercase; for [`Likeness::Broken`] the word that has them.
    pub(crate) text: String,
    /// How much it looks like one.
    pub(crate) likeness: Likeness,
    /// Findings with the same number are digests of one file, as in
    /// `SHA1=...,MD5=...`; `None` where the text does not say so.
    pub(crate) file: Option<usize>,
}

/// How much a run of digits looks like the hash of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// 32, 40 or 64 digits.
    Complete,
    /// The same, labeled as an Authenticode hash.
    Authenticode,
    /// Another number of digits, or other letters touch them: the number of digits.
    Broken(usize),
    /// Labeled as a digest or an id that is not the hash of a file.
    OtherDigest,
}

/// The findings of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Everything that looks like the hash of a file, once each, in the order in which it
    /// appears.
    pub(crate) hashes: Vec<HashLike>,
    /// The number of digests and ids that have a label of another kind.
    pub(crate) others: usize,
}

/// Everything in a text that looks like a hash.
pub(crate) fn hash_like(text: &str) -> Found {
    let mut found: Vec<HashLike> = Vec::new();
    let mut position: HashMap<String, usize> = HashMap::new();
    for reading in readings::of(text) {
        for like in read_once(&reading) {
            match position.get(&like.text) {
                None => {
                    position.insert(like.text.clone(), found.len());
                    found.push(like);
                }
                // One reading may see a label that a tag hides from another one.
                Some(at) if like.likeness == Likeness::OtherDigest => found[*at] = like,
                Some(_) => {}
            }
        }
    }
    let parts = parts(&found);
    found.retain(|like| !parts.contains(&like.text));
    let (others, hashes): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|like| like.likeness == Likeness::OtherDigest);
    Found {
        hashes,
        others: others.len(),
    }
}

/// The findings of one reading. A hash that is there twice, once labeled as another
/// digest, is the hash of a file.
fn read_once(reading: &str) -> Vec<HashLike> {
    let mut found: Vec<HashLike> = Vec::new();
    let mut position: HashMap<String, usize> = HashMap::new();
    for like in token::read(reading)
        .into_iter()
        .chain(joined::read(reading))
    {
        match position.get(&like.text) {
            None => {
                position.insert(like.text.clone(), found.len());
                found.push(like);
            }
            Some(at) if found[*at].likeness == Likeness::OtherDigest => found[*at] = like,
            Some(_) => {}
        }
    }
    found
}

/// The texts that are a part of a longer complete hash, or that have one within.
fn parts(found: &[HashLike]) -> HashSet<String> {
    let is_complete = |like: &&HashLike| !matches!(like.likeness, Likeness::Broken(_));
    let complete: Vec<&HashLike> = found.iter().filter(is_complete).collect();
    // Every window of the complete hashes with the length of a shorter finding.
    let mut lengths: Vec<usize> = found.iter().map(|like| like.text.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut windows = HashSet::new();
    for like in &complete {
        for length in lengths.iter().filter(|length| **length < like.text.len()) {
            for start in 0..=like.text.len() - length {
                windows.insert(&like.text[start..start + length]);
            }
        }
    }
    let known: HashSet<&str> = complete.iter().map(|like| like.text.as_str()).collect();
    let has_one = |text: &str| {
        [32, 40, 64].into_iter().any(|length| {
            (0..=text.len().saturating_sub(length)).any(|start| {
                text.get(start..start + length)
                    .is_some_and(|part| known.contains(part))
            })
        })
    };
    found
        .iter()
        .filter(|like| {
            let is_window = windows.contains(like.text.as_str());
            let is_around = matches!(like.likeness, Likeness::Broken(_)) && has_one(&like.text);
            is_window || is_around
        })
        .map(|like| like.text.clone())
        .collect()
}

#[cfg(test)]
mod tests;
