//! Hashes of Sentinel entities, in every form that triggers and connectors send.
//!
//! Incidents carry entities with `kind` and `properties`, alerts flat ones with
//! `Type`, `$id` and `$ref`. A file names its hashes by id or holds them; the
//! hashes of one file are joined. An entity's algorithm wins over its length.
//! Source: <https://learn.microsoft.com/azure/sentinel/entities-reference>

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::hashes::{HashKind, Observable, UnusableHash};

/// Deepest nesting that is followed; real entities have three levels.
const MAX_DEPTH: usize = 12;

/// Names under which an entity carries its hash.
const VALUES: [&str; 4] = ["hashvalue", "hash_value", "value", "filehash"];

/// The entities of a body of known shape, `None` for another one.
pub(super) fn of_body(body: &Value) -> Option<Vec<Value>> {
    let base = field(body, "BaseModuleBody").unwrap_or(body);
    if let Some(trigger) = field(base, "Body").filter(|_| field(base, "object").is_none()) {
        return of_body(trigger);
    }
    let properties = field(base, "object").and_then(|incident| field(incident, "properties"));
    if let Some(properties) = properties {
        return Some(list(
            field(properties, "relatedEntities").unwrap_or(&Value::Null),
        ));
    }
    if let Some(entity) = field(base, "Entity") {
        return Some(vec![entity.clone()]);
    }
    for name in ["Entities", "relatedEntities"] {
        if let Some(entities) = field(base, name) {
            return Some(list(entities));
        }
    }
    // "Entities - Get FileHashes", and the base module of STAT.
    let hashes = field(base, "FileHashes")?.as_array()?;
    let files = field(base, "Files").map(list).unwrap_or_default();
    Some(hashes.iter().cloned().chain(files).collect())
}

/// Whether an item of a bare array can be an entity.
pub(super) fn is_entity(item: &Value) -> bool {
    field(item, "kind").is_some() || field(item, "Type").is_some() || hash_text(item).is_some()
}

/// The distinct hashes of entities, those of one file marked as such.
pub(super) fn hashes(entities: &[Value]) -> Vec<Observable> {
    let mut collector = Collector::default();
    entities
        .iter()
        .for_each(|entity| collector.index(entity, 0));
    for entity in entities {
        collector.collect(entity, None, 0);
    }
    collector.found
}

/// The items of an array, also of one that arrives as a JSON text.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[derive(Default)]
struct Collector {
    by_id: HashMap<String, Value>,
    found: Vec<Observable>,
    position: HashMap<String, usize>,
    open: HashSet<String>,
    files: usize,
}

impl Collector {
    /// Remembers what can be referred to.
    fn index(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.index(item, depth + 1)),
            Value::Object(fields) => {
                for name in ["$id", "id"] {
                    if let Some(id) = fields.get(name).and_then(Value::as_str) {
                        self.by_id
                            .entry(id.to_ascii_lowercase())
                            .or_insert_with(|| value.clone());
                    }
                }
                fields.values().for_each(|item| self.index(item, depth + 1));
            }
            _ => {}
        }
    }

    fn collect(&mut self, entity: &Value, file: Option<usize>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(id) = field(entity, "$ref").and_then(Value::as_str) {
            return self.follow(id, file, depth);
        }
        if let Some(input) = file_hash(entity) {
            return self.add(input, file);
        }
        let inside = field(entity, "properties").unwrap_or(entity);
        let file = if is_file(entity) {
            Some(self.next_file())
        } else {
            file
        };
        for id in field(inside, "fileHashEntityIds")
            .into_iter()
            .chain(field(inside, "imageFileEntityId"))
        {
            for id in list_or_one(id).iter().filter_map(Value::as_str) {
                self.follow(id, file, depth);
            }
        }
        for name in ["FileHashes", "ImageFile", "RawEntity"] {
            for nested in field(inside, name).map(list_or_one).unwrap_or_default() {
                self.collect(&nested, file, depth + 1);
            }
        }
    }

    /// Follows a reference; one to nowhere, or to itself, leads to nothing.
    fn follow(&mut self, id: &str, file: Option<usize>, depth: usize) {
        let id = id.to_ascii_lowercase();
        let Some(entity) = self.by_id.get(&id).cloned() else {
            return;
        };
        if self.open.insert(id.clone()) {
            self.collect(&entity, file, depth + 1);
            self.open.remove(&id);
        }
    }

    fn add(&mut self, mut input: Observable, file: Option<usize>) {
        match self.position.get(&input.text) {
            Some(position) => {
                let known = &mut self.found[*position];
                known.file = known.file.or(file);
            }
            None => {
                input.file = file;
                self.position.insert(input.text.clone(), self.found.len());
                self.found.push(input);
            }
        }
    }

    fn next_file(&mut self) -> usize {
        self.files += 1;
        self.files
    }
}

fn list_or_one(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    }
}

/// A field without regard to the case of its name.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields: &Map<String, Value> = value.as_object()?;
    fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

fn kind(entity: &Value) -> String {
    let kind = field(entity, "kind")
        .or_else(|| field(entity, "Type"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    kind.rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn is_file(entity: &Value) -> bool {
    let inside = field(entity, "properties").unwrap_or(entity);
    kind(entity) == "file" || field(inside, "fileHashEntityIds").is_some()
}

/// The text of the hash that an entity is, in any of its namings.
fn hash_text(entity: &Value) -> Option<(&str, Option<&'static str>)> {
    let inside = field(entity, "properties").unwrap_or(entity);
    let named = VALUES
        .into_iter()
        .find_map(|name| Some((field(inside, name)?.as_str()?, None)));
    named.or_else(|| {
        let by_algorithm = [("sha256", "SHA256"), ("sha1", "SHA1"), ("md5", "MD5")];
        by_algorithm
            .into_iter()
            .find_map(|(name, algorithm)| Some((field(inside, name)?.as_str()?, Some(algorithm))))
    })
}

/// The hash that an entity is; `None` for an entity of another kind.
fn file_hash(entity: &Value) -> Option<Observable> {
    let kind = kind(entity);
    if !["filehash", "filehashes", "entities", ""].contains(&kind.as_str()) {
        return None;
    }
    let inside = field(entity, "properties").unwrap_or(entity);
    let (text, by_name) = match hash_text(entity) {
        Some(found) => found,
        None if kind == "filehash" => ("", None),
        None => return None,
    };
    let algorithm = field(inside, "algorithm")
        .and_then(Value::as_str)
        .or(by_name)
        .unwrap_or_default();
    Some(
        match algorithm
            .to_ascii_uppercase()
            .replace(['-', '_'], "")
            .as_str()
        {
            "SHA256AC" => Observable::unusable(text, UnusableHash::Authenticode),
            "MD5" => Observable::unusable(text, UnusableHash::Md5),
            "SHA1" => Observable::of_kind(text, HashKind::Sha1),
            "SHA256" => Observable::of_kind(text, HashKind::Sha256),
            _ => Observable::parse(text),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";
    const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";
    const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

    fn texts(body: &Value) -> Option<Vec<String>> {
        of_body(body).map(|entities| {
            hashes(&entities)
                .into_iter()
                .map(|input| input.text)
                .collect()
        })
    }

    #[track_caller]
    fn reads(body: &Value) {
        let mut texts = texts(body).expect("a known shape");
        texts.sort();
        assert_eq!(texts, [SHA256, SHA1], "{body}");
    }

    fn incident() -> Value {
        serde_json::from_str(include_str!("../../../tests/data/sentinel/incident.json")).unwrap()
    }

    #[test]
    fn every_trigger_of_one_incident_gives_the_same_hashes() {
        reads(&incident());
        reads(
            &serde_json::from_str(include_str!("../../../tests/data/sentinel/alert.json")).unwrap(),
        );
        reads(
            &serde_json::from_str(include_str!(
                "../../../tests/data/sentinel/get-filehashes.json"
            ))
            .unwrap(),
        );
        reads(
            &serde_json::from_str(include_str!(
                "../../../tests/data/stat/base-module-body.json"
            ))
            .unwrap(),
        );
        reads(&json!({ "Body": incident(), "MultiTenantConfig": {} }));
    }

    #[test]
    fn an_entity_trigger_gives_its_one_hash_in_both_namings() {
        for properties in [
            json!({ "Algorithm": "SHA256", "Value": SHA256 }),
            json!({ "hashValue": SHA256, "algorithm": "SHA256" }),
        ] {
            let body = json!({ "Entity": { "kind": "FileHash", "properties": properties }, "IncidentArmID": "/subscriptions/x" });
            assert_eq!(texts(&body), Some(vec![SHA256.to_owned()]));
        }
    }

    #[test]
    fn a_file_joins_its_hashes_by_id() {
        let entities = of_body(&incident()).unwrap();
        let joined = hashes(&entities);
        assert!(
            joined[0].file.is_some() && joined[0].file == joined[1].file,
            "{joined:?}"
        );
    }

    #[test]
    fn entities_as_a_text_references_in_a_ring_and_to_nowhere_are_read() {
        let entities = json!([
            { "$id": "1", "Type": "file", "FileHashes": [{ "$ref": "2" }, { "$ref": "99" }, { "$ref": "1" }] },
            { "$id": "2", "Type": "filehash", "Algorithm": "SHA1", "Value": SHA1 },
            { "$id": "3", "Type": "process", "ImageFile": { "$id": "4", "Type": "file", "FileHashes": [{ "Algorithm": "SHA256", "Value": SHA256 }] } },
            { "$ref": "3" },
        ]);
        reads(&json!({ "SystemAlertId": "x", "Entities": entities }));
        reads(&json!({ "SystemAlertId": "x", "Entities": entities.to_string() }));
    }

    #[test]
    fn the_algorithm_wins_over_the_length() {
        let one = |algorithm: &str, value: &str| {
            let mut found = hashes(&[
                json!({ "Type": "FileHash", "algorithm": algorithm, "hash_value": value }),
            ]);
            found.remove(0).hash.map_err(|reason| reason.code())
        };
        assert_eq!(one("SHA256AC", SHA256), Err("hash_authenticode"));
        assert_eq!(one("MD5", MD5), Err("hash_md5"));
        assert_eq!(one("MD5", SHA1), Err("hash_md5"));
        assert_eq!(one("SHA1", SHA256), Err("hash_prefix"));
        assert!(
            one("sha-256", SHA256).is_ok() && one("Unknown", SHA1).is_ok() && one("", SHA1).is_ok()
        );
        let nulls =
            json!({ "kind": "filehash", "properties": { "hashValue": null, "algorithm": null } });
        assert_eq!(
            hashes(&[nulls])[0]
                .hash
                .clone()
                .map_err(|reason| reason.code()),
            Err("hash_empty")
        );
    }

    #[test]
    fn titles_hosts_and_addresses_are_no_hashes() {
        let host = json!({ "kind": "Host", "properties": { "hostName": SHA256, "value": SHA1 } });
        let body = json!({ "object": { "properties": { "title": SHA1, "description": SHA256, "relatedEntities": [host] } } });
        assert_eq!(texts(&body), Some(vec![]));
        assert_eq!(
            texts(&json!({ "object": { "properties": {} } })),
            Some(vec![])
        );
        assert_eq!(of_body(&json!({ "something": 1 })), None);
        assert_eq!(of_body(&json!({ "object": 1 })), None);
    }

    #[test]
    fn deep_and_wide_bodies_end() {
        let mut deep = json!({ "Type": "filehash", "Value": SHA1 });
        for _ in 0..100 {
            deep = json!({ "Type": "file", "FileHashes": [deep] });
        }
        assert_eq!(hashes(&[deep]), []);
    }
}
