//! Hashes of Sentinel entities, in every form that triggers and connectors send.
//!
//! Incidents carry entities with `kind` and `properties`, alerts flat ones with
//! `Type`, `$id` and `$ref`. A file names its hashes by id, holds them, or has
//! fields of their names; the hashes of one file are joined. An entity's
//! algorithm wins over its length. Everything inside an entity is looked at,
//! but for entities that have no hashes (hosts, accounts, addresses).
//! Source: <https://learn.microsoft.com/azure/sentinel/entities-reference>

mod entity;
mod walk;

use serde_json::Value;

use super::Inputs;
use crate::hashes::Observable;
use entity::{WITHOUT_HASHES, field, is_hash};

pub(super) use entity::kind;
use walk::{MAX_VISITS, Walk};

/// The entities of a body of known shape, `None` for another one.
pub(super) fn of_body(body: &Value) -> Option<Vec<Value>> {
    let base = field(body, "BaseModuleBody").unwrap_or(body);
    if let Some(trigger) = field(base, "Body").filter(|_| field(base, "object").is_none()) {
        return of_body(trigger);
    }
    if let Some(properties) =
        field(base, "object").and_then(|incident| field(incident, "properties"))
    {
        return list(field(properties, "relatedEntities"));
    }
    if let Some(entity) = field(base, "Entity") {
        return list(Some(entity)).or_else(|| entity.is_object().then(|| vec![entity.clone()]));
    }
    for name in ["Entities", "relatedEntities"] {
        if let Some(entities) = field(base, name) {
            return list(Some(entities));
        }
    }
    // "Entities - Get FileHashes", and the base module of STAT.
    let mut all = list(Some(field(base, "FileHashes")?))?;
    for name in ["Files", "OtherEntities"] {
        all.extend(list(field(base, name))?);
    }
    Some(all)
}

/// Returns true if an item of a bare array can be an entity.
pub(super) fn is_entity(item: &Value) -> bool {
    ["kind", "Type", "$ref"]
        .iter()
        .any(|name| field(item, name).is_some())
        || is_hash(item, true)
}

/// Returns true for a kind of entity that has no hashes, such as a host.
pub(super) fn has_no_hashes(kind: &str) -> bool {
    WITHOUT_HASHES.contains(&kind)
}

/// Returns true for an item that refers to another one.
pub(super) fn is_reference(item: &Value) -> bool {
    field(item, "$ref").is_some()
}

/// The distinct hashes of entities, those of one file marked as such, and the files without
/// a hash; texts among them are hashes themselves. `None` when there is too much to look at.
pub(super) fn read(items: &[Value]) -> Option<Inputs> {
    let mut walk = Walk::default();
    items.iter().for_each(|item| walk.index(item, 0));
    for item in items {
        match item {
            Value::String(text) => walk.add(Observable::parse(text), None),
            entity => walk.visit(entity, None, true, 0),
        }
    }
    (walk.visits <= MAX_VISITS && !walk.too_deep).then(|| walk.inputs())
}

/// The items of an array, also of one that arrives as a JSON text; empty for an absent one,
/// `None` for a value that is not a list.
fn list(value: Option<&Value>) -> Option<Vec<Value>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => Some(items.clone()),
        Some(Value::String(text)) => match serde_json::from_str(text).ok()? {
            Value::Array(items) => Some(items),
            entity @ Value::Object(_) => Some(vec![entity]),
            _ => None,
        },
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
