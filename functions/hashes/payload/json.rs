//! JSON of a known shape, and the hashes in any other JSON by its keys.

use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Inputs, UnusableRequest, advisory, entities};
use crate::{
    hashes::{Observable, UnusableHash},
    text::{Label, label_of},
};

/// Deepest nesting of JSON in texts of JSON.
const MAX_UNWRAPPED: usize = 4;

/// Most JSON values that are looked at.
const MAX_VALUES: usize = 100_000;

/// Kinds of entities that the walk over entities reads completely.
const READ_AS_ENTITIES: [&str; 6] = [
    "file",
    "filehash",
    "filehashes",
    "entities",
    "process",
    "malware",
];

/// The hashes of a value of any shape.
///
/// # Errors
/// [`UnusableRequest`] if the value has no hashes and no known shape.
pub(super) fn read(body: &Value) -> Result<Inputs, UnusableRequest> {
    match body {
        Value::Array(items) if items.iter().any(entities::is_entity) => list_of_entities(items),
        Value::Array(items) => Ok(list(items)),
        Value::Object(fields) if fields.contains_key("hashes") => own_body(fields),
        Value::String(text) => match inner(text) {
            Some(value) => read(&value),
            None => match advisory::read(text) {
                none if none.observables.is_empty() => Err(UnusableRequest::UnknownShape),
                found => Ok(found),
            },
        },
        _ => match entities::of_body(body) {
            Some(entities) => of_entities(&entities),
            None => found_by_keys(body),
        },
    }
}

/// `{"hashes": [...]}`, our own body, or that of another tool under this name.
fn own_body(fields: &Map<String, Value>) -> Result<Inputs, UnusableRequest> {
    match &fields["hashes"] {
        Value::Array(items) if items.iter().all(Value::is_string) => match fields.len() {
            1 => Ok(list(items)),
            _ => Err(UnusableRequest::UnknownShape),
        },
        Value::Array(items) => Ok(list(items)),
        Value::Object(_) => read(&fields["hashes"]),
        _ => Err(UnusableRequest::UnknownShape),
    }
}

fn too_many() -> UnusableRequest {
    UnusableRequest::TooMany {
        items: MAX_VALUES,
        distinct: MAX_VALUES,
    }
}

fn of_entities(entities: &[Value]) -> Result<Inputs, UnusableRequest> {
    entities::read(entities).ok_or_else(too_many)
}

/// Entities, and what other tools mark with a type.
fn list_of_entities(items: &[Value]) -> Result<Inputs, UnusableRequest> {
    let (known, others): (Vec<_>, Vec<_>) = items
        .iter()
        .cloned()
        .partition(|item| item.is_string() || is_sentinel(item));
    let mut inputs = of_entities(&known)?;
    let texts = inputs.observables.iter().map(|item| item.text.clone());
    let mut seen: HashSet<String> = texts.collect();
    for other in &others {
        inputs.append_new(item(other), &mut seen);
    }
    Ok(inputs)
}

/// Returns true for an entity of Sentinel.
fn is_sentinel(item: &Value) -> bool {
    let kind = entities::kind(item);
    let is_known = READ_AS_ENTITIES.contains(&kind.as_str()) || entities::has_no_hashes(&kind);
    entities::is_entity(item) && (is_known || entities::is_reference(item))
}

/// The hashes of the items of a list.
fn list(items: &[Value]) -> Inputs {
    let mut inputs = Inputs::default();
    for one in items {
        inputs.append(item(one));
    }
    inputs
}

/// The hashes of an item of a list; the item itself if it has none.
fn item(item: &Value) -> Inputs {
    let kind = match item {
        Value::String(text) => return vec![Observable::parse(text)].into(),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let mut search = Search::default();
    search.visit(item, None, 0);
    let found = search.found;
    if found.observables.is_empty() && found.other_values == 0 {
        let unusable = Observable::unusable(&item.to_string(), UnusableHash::NotText(kind));
        return vec![unusable].into();
    }
    found
}

fn found_by_keys(body: &Value) -> Result<Inputs, UnusableRequest> {
    let mut search = Search::default();
    search.visit(body, None, 0);
    match (
        search.visits > MAX_VALUES,
        search.found.observables.is_empty(),
    ) {
        (true, _) => Err(too_many()),
        (_, true) => Err(UnusableRequest::UnknownShape),
        _ => Ok(search.found),
    }
}

/// The JSON in a text.
fn inner(text: &str) -> Option<Value> {
    let text = text.trim();
    text.starts_with(['{', '[', '"'])
        .then(|| serde_json::from_str(text).ok())?
}

/// A search for hashes by keys and types.
#[derive(Default)]
struct Search {
    found: Inputs,
    seen: HashSet<String>,
    visits: usize,
    unwrapped: usize,
}

impl Search {
    fn visit(&mut self, value: &Value, label: Option<Label>, depth: usize) {
        self.visits += 1;
        if self.visits > MAX_VALUES || depth > 128 {
            return;
        }
        match value {
            Value::String(text) => self.text(text, label, depth),
            Value::Array(items) => {
                items
                    .iter()
                    .for_each(|item| self.visit(item, label, depth + 1));
            }
            Value::Object(fields) => self.object(fields, label, depth),
            _ => {}
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, label: Option<Label>, depth: usize) {
        let of_type = type_label(fields);
        for (name, value) in fields {
            if name == "$content" {
                self.content(value);
                continue;
            }
            // A map may have hashes as its keys.
            self.add(advisory::read(name));
            let own = label_of(name);
            let is_value = ["value", "indicator", "hashvalue", "content"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known));
            let label = own.or(of_type.filter(|_| is_value)).or(label);
            self.visit(value, label, depth + 1);
        }
    }

    fn text(&mut self, text: &str, label: Option<Label>, depth: usize) {
        if self.unwrapped < MAX_UNWRAPPED
            && let Some(value) = inner(text)
        {
            self.unwrapped += 1;
            self.visit(&value, label, depth + 1);
            self.unwrapped -= 1;
            return;
        }
        match label {
            Some(Label::Other) => {
                let inside = advisory::read(text);
                self.found.other_values += inside.observables.len() + inside.other_values;
            }
            Some(Label::Authenticode) => {
                let found = advisory::read(text).observables.into_iter();
                let unusable =
                    |item: Observable| Observable::unusable(&item.text, UnusableHash::Authenticode);
                self.add(found.map(unusable).collect::<Vec<_>>().into());
            }
            _ => self.add(advisory::read(text)),
        }
    }

    /// The content of a file in a Logic App, in base64.
    fn content(&mut self, value: &Value) {
        let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        if let Some(text) = bytes.as_deref().and_then(super::decode) {
            self.add(super::read_text(&text));
        }
    }

    fn add(&mut self, more: Inputs) {
        self.found.append_new(more, &mut self.seen);
    }
}

/// The label that an object's type gives to its value, as in `{"type": "imphash"}`.
fn type_label(fields: &Map<String, Value>) -> Option<Label> {
    ["type", "Type", "algorithm", "hashType", "indicator_type"]
        .iter()
        .find_map(|name| label_of(fields.get(*name)?.as_str()?))
}
