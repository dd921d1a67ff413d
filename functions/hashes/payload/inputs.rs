//! The inputs of a caller, and the other facts of its body.

use std::collections::HashSet;

use crate::hashes::Observable;

/// The inputs of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The inputs in the order asked; what is not a hash stays, with its reason.
    pub observables: Vec<Observable>,
    /// True if they are the entities of an incident or an alert.
    pub are_entities: bool,
    /// Names of the sender's files that have no hash.
    pub files_without_hash: Vec<String>,
    /// Values that a label marks as something else, such as an IMPHASH. They are left out.
    pub other_values: usize,
    /// Numbers of files up to here are in use.
    files: usize,
}

impl Inputs {
    /// Adds what another text or value has. Files of both stay apart.
    pub fn append(&mut self, mut more: Self) {
        self.renumber(&mut more.observables);
        self.observables.append(&mut more.observables);
        self.note(more);
    }

    /// Adds what is not there yet, by its text. `seen` has the texts that are.
    pub(super) fn append_new(&mut self, mut more: Self, seen: &mut HashSet<String>) {
        self.renumber(&mut more.observables);
        let added = std::mem::take(&mut more.observables).into_iter();
        self.observables
            .extend(added.filter(|item| seen.insert(item.text.clone())));
        self.note(more);
    }

    fn renumber(&mut self, observables: &mut [Observable]) {
        let first = self.files;
        for number in observables.iter_mut().filter_map(|item| item.file.as_mut()) {
            self.files = self.files.max(first + *number + 1);
            *number += first;
        }
    }

    fn note(&mut self, more: Self) {
        self.are_entities |= more.are_entities;
        self.files_without_hash.extend(more.files_without_hash);
        self.other_values += more.other_values;
    }
}

impl From<Vec<Observable>> for Inputs {
    fn from(observables: Vec<Observable>) -> Self {
        let mut inputs = Self::default();
        inputs.append(Self {
            observables,
            ..Self::default()
        });
        inputs
    }
}
