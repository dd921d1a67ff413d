//! Follows the references between entities, so that each file is found once.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::entity::{
    NAMED, WITHOUT_HASHES, field, file_hash, is_file, is_hash, is_same, is_same_end, kind, name,
    property, read,
};
use crate::hashes::{FileHash, Observable, payload::Inputs};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 128;

/// Most values and fields that are looked at, those behind references counted each time.
pub(super) const MAX_VISITS: usize = 400_000;

/// A file of the sender; its number is its place.
struct File {
    name: Option<String>,
    has_hash: bool,
}

#[derive(Default)]
pub(super) struct Walk<'a> {
    by_id: HashMap<String, &'a Value>,
    pub(super) found: Vec<Observable>,
    position: HashMap<Result<FileHash, String>, usize>,
    followed: HashSet<(String, Option<usize>)>,
    files: Vec<File>,
    pub(super) visits: usize,
    pub(super) too_deep: bool,
}

impl<'a> Walk<'a> {
    /// Remembers what can be referred to.
    pub(super) fn index(&mut self, value: &'a Value, depth: usize) {
        match value {
            _ if depth > MAX_DEPTH => self.too_deep = true,
            Value::Array(items) => items.iter().for_each(|item| self.index(item, depth + 1)),
            Value::Object(fields) => {
                for name in ["$id", "id"] {
                    if let Some(id) = fields.get(name).and_then(Value::as_str) {
                        self.by_id.entry(id.to_ascii_lowercase()).or_insert(value);
                    }
                }
                fields.values().for_each(|item| self.index(item, depth + 1));
            }
            _ => {}
        }
    }

    /// Looks for hashes in a value that belongs to `file`. `listed` is true in a place
    /// where hashes are expected.
    pub(super) fn visit(
        &mut self,
        value: &'a Value,
        file: Option<usize>,
        listed: bool,
        depth: usize,
    ) {
        self.visits += 1;
        self.too_deep |= depth > MAX_DEPTH;
        if self.visits > MAX_VISITS || self.too_deep {
            return;
        }
        match value {
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.visit(item, file, listed, depth + 1)),
            Value::Object(_) => self.visit_entity(value, file, listed, depth),
            _ => {}
        }
    }

    fn visit_entity(&mut self, entity: &'a Value, file: Option<usize>, listed: bool, depth: usize) {
        // Each look for a field may pass all of them.
        let inside = field(entity, "properties").unwrap_or(entity);
        let lengths = [entity, inside].map(|one| one.as_object().map_or(0, |fields| fields.len()));
        self.visits += lengths[0] + lengths[1];
        if self.visits > MAX_VISITS {
            return;
        }
        if let Some(id) = field(entity, "$ref").and_then(Value::as_str) {
            return self.follow(id, file, depth);
        }
        if WITHOUT_HASHES.contains(&kind(entity).as_str()) {
            return;
        }
        if is_hash(entity, listed) {
            return self.add(file_hash(entity), file);
        }
        let named: Vec<Observable> = NAMED
            .into_iter()
            .filter_map(|(name, algorithm)| {
                Some(read(property(entity, name)?.as_str()?, algorithm))
            })
            .collect();
        let file = if is_file(entity) || !named.is_empty() {
            self.files.push(File {
                name: name(entity),
                has_hash: false,
            });
            Some(self.files.len() - 1)
        } else {
            file
        };
        named.into_iter().for_each(|input| self.add(input, file));
        let inside = field(entity, "properties")
            .into_iter()
            .filter_map(Value::as_object);
        let fields = inside.chain(entity.as_object()).flatten();
        for (name, value) in fields
            .filter(|(name, _)| !is_same(name, "additionalData") && !is_same(name, "properties"))
        {
            if is_same_end(name, "EntityId") || is_same_end(name, "EntityIds") {
                let ids = value
                    .as_array()
                    .map_or(std::slice::from_ref(value), Vec::as_slice);
                ids.iter()
                    .filter_map(Value::as_str)
                    .for_each(|id| self.follow(id, file, depth));
            } else {
                self.visit(value, file, is_same(name, "FileHashes"), depth + 1);
            }
        }
    }

    /// Follows a reference, once for each file; one to nowhere, or to itself,
    /// leads to nothing.
    fn follow(&mut self, id: &str, file: Option<usize>, depth: usize) {
        let id = id.to_ascii_lowercase();
        let Some(entity) = self.by_id.get(&id).copied() else {
            return;
        };
        // A file has a number of its own: who refers to it does not matter.
        let of = file.filter(|_| !is_file(entity));
        if self.followed.insert((id, of)) {
            self.visit(entity, of, true, depth + 1);
        }
    }

    pub(super) fn add(&mut self, mut input: Observable, file: Option<usize>) {
        if let Some(file) = file {
            self.files[file].has_hash = true;
        }
        let key = input
            .hash
            .as_ref()
            .copied()
            .map_err(|reason| format!("{reason} {}", input.text));
        match self.position.get(&key) {
            Some(position) => {
                let known = &mut self.found[*position];
                known.file = known.file.or(file);
            }
            None => {
                input.file = file;
                self.position.insert(key, self.found.len());
                self.found.push(input);
            }
        }
    }

    /// The hashes that were found, each with the name of its file.
    pub(super) fn inputs(mut self) -> Inputs {
        for input in &mut self.found {
            input.file_name = input.file.and_then(|file| self.files[file].name.clone());
        }
        let without = self.files.into_iter().filter(|file| !file.has_hash);
        let mut inputs = Inputs::from(self.found);
        inputs.are_entities = true;
        inputs.files_without_hash = without.filter_map(|file| file.name).collect();
        inputs
    }
}
