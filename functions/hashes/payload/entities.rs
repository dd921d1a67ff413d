//! Hashes of Sentinel entities, in every form that triggers and connectors send.
//!
//! Incidents carry entities with `kind` and `properties`, alerts flat ones with
//! `Type`, `$id` and `$ref`. A file names its hashes by id, holds them, or has
//! fields of their names; the hashes of one file are joined. An entity's
//! algorithm wins over its length. Everything inside an entity is looked at,
//! but for entities that have no hashes (hosts, accounts, addresses).
//! Source: <https://learn.microsoft.com/azure/sentinel/entities-reference>

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::hashes::{FileHash, HashKind, Observable, UnusableHash};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 128;

/// Most values that are looked at, references counted each time.
const MAX_VISITS: usize = 200_000;

/// Names under which an entity carries its hash.
const VALUES: [&str; 3] = ["hashvalue", "filehash", "value"];

/// Fields that name their algorithm.
const NAMED: [(&str, &str); 3] = [("sha256", "SHA256"), ("sha1", "SHA1"), ("md5", "MD5")];

/// Entities without hashes, whose texts must not be taken for some.
const WITHOUT_HASHES: [&str; 9] = [
    "host",
    "account",
    "url",
    "ip",
    "dnsresolution",
    "azureresource",
    "registrykey",
    "registryvalue",
    "securitygroup",
];

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

/// Whether an item of a bare array can be an entity.
pub(super) fn is_entity(item: &Value) -> bool {
    ["kind", "Type", "$ref"]
        .iter()
        .any(|name| field(item, name).is_some())
        || is_hash(item, true)
}

/// The distinct hashes of entities, those of one file marked as such; texts
/// among them are hashes themselves. `None` when there is too much to look at.
pub(super) fn hashes(items: &[Value]) -> Option<Vec<Observable>> {
    let mut walk = Walk::default();
    items.iter().for_each(|item| walk.index(item, 0));
    for item in items {
        match item {
            Value::String(text) => walk.add(Observable::parse(text), None),
            entity => walk.visit(entity, None, true, 0),
        }
    }
    (walk.visits <= MAX_VISITS && !walk.too_deep).then_some(walk.found)
}

/// The items of an array, also of one that arrives as a JSON text; nothing for
/// an absent one, `None` for what is no list.
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

#[derive(Default)]
struct Walk<'a> {
    by_id: HashMap<String, &'a Value>,
    found: Vec<Observable>,
    position: HashMap<Result<FileHash, String>, usize>,
    followed: HashSet<(String, Option<usize>)>,
    files: usize,
    visits: usize,
    too_deep: bool,
}

impl<'a> Walk<'a> {
    /// Remembers what can be referred to.
    fn index(&mut self, value: &'a Value, depth: usize) {
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

    /// Looks for hashes in a value that belongs to `file`. `listed` tells that
    /// it stands where hashes are expected.
    fn visit(&mut self, value: &'a Value, file: Option<usize>, listed: bool, depth: usize) {
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
            Some(self.next_file())
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

    fn add(&mut self, mut input: Observable, file: Option<usize>) {
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

    fn next_file(&mut self) -> usize {
        self.files += 1;
        self.files
    }
}

/// Names are compared without regard to case and underscores.
fn is_same(name: &str, wanted: &str) -> bool {
    let plain = |text: &str| {
        text.bytes()
            .filter(|byte| *byte != b'_')
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    name.len() >= wanted.len() && plain(name) == plain(wanted)
}

fn is_same_end(name: &str, wanted: &str) -> bool {
    let plain: String = name.chars().filter(|c| *c != '_').collect();
    let start = plain.len().checked_sub(wanted.len());
    start
        .and_then(|start| plain.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(wanted))
}

/// A field of an object.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| is_same(key, name))
            .map(|(_, value)| value)
    })
}

/// A field of an entity: in its `properties`, or beside them.
fn property<'a>(entity: &'a Value, name: &str) -> Option<&'a Value> {
    let inside = field(entity, "properties")
        .and_then(|inside| field(inside, name))
        .filter(|value| !value.is_null());
    inside.or_else(|| field(entity, name))
}

fn kind(entity: &Value) -> String {
    let named = |name| field(entity, name).and_then(Value::as_str);
    let kind = named("kind")
        .or_else(|| named("Type"))
        .or_else(|| named("@odata.type"))
        .unwrap_or_default();
    kind.rsplit(['/', '.', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn is_file(entity: &Value) -> bool {
    kind(entity) == "file" || property(entity, "fileHashEntityIds").is_some()
}

fn value_of(entity: &Value) -> Option<&str> {
    VALUES
        .into_iter()
        .find_map(|name| property(entity, name)?.as_str())
}

/// Whether an entity is a hash: by its kind, or by its fields where none says.
fn is_hash(entity: &Value, listed: bool) -> bool {
    match kind(entity).as_str() {
        "filehash" | "filehashes" => true,
        "" | "entities" => {
            let says_so = listed
                || property(entity, "algorithm").is_some()
                || property(entity, "hashValue").is_some();
            says_so && value_of(entity).is_some()
        }
        _ => false,
    }
}

/// The hash that an entity is.
fn file_hash(entity: &Value) -> Observable {
    let by_name = || {
        NAMED
            .into_iter()
            .find_map(|(name, algorithm)| Some((property(entity, name)?.as_str()?, algorithm)))
    };
    let (text, by_name) = value_of(entity)
        .map(|text| (text, ""))
        .or_else(by_name)
        .unwrap_or_default();
    read(
        text,
        property(entity, "algorithm")
            .and_then(Value::as_str)
            .unwrap_or(by_name),
    )
}

fn read(text: &str, algorithm: &str) -> Observable {
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
    }
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
                .unwrap()
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
        let joined = hashes(&entities).unwrap();
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
            ])
            .unwrap();
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
            hashes(&[nulls]).unwrap()[0]
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
    fn deep_wide_and_tangled_bodies_end() {
        let hash = json!({ "$id": "h", "Type": "filehash", "Value": SHA1 });
        let mut deep = hash.clone();
        for _ in 0..100 {
            deep = json!({ "Type": "file", "FileHashes": [deep] });
        }
        assert_eq!(hashes(&[deep]), None, "too deep is told, not cut");
        let id = |number: usize| format!("e{number}");
        let tangled: Vec<Value> = (0..14)
            .map(|number| json!({ "id": id(number), "kind": "File", "properties": { "fileHashEntityIds": vec![id(number + 1); 40] } }))
            .chain([json!({ "id": id(14), "kind": "FileHash", "properties": { "hashValue": SHA1 } })])
            .collect();
        assert_eq!(hashes(&tangled).unwrap().len(), 1);
        let many: Vec<Value> = [hash]
            .into_iter()
            .chain(vec![json!({ "$ref": "h" }); 50_000])
            .collect();
        assert_eq!(hashes(&many).unwrap().len(), 1);
    }

    #[test]
    fn hashes_are_found_wherever_an_entity_holds_them() {
        for entity in [
            json!({ "kind": "File", "properties": { "sha256": SHA256, "sha1": SHA1 } }),
            json!({ "sha256": SHA256, "sha1": SHA1 }),
            json!({ "Type": "process", "ParentProcess": { "ImageFile": { "FileHashes": [
                { "Algorithm": "SHA1", "Value": SHA1 }, { "Algorithm": "SHA256", "Value": SHA256 }] } } }),
            json!({ "Type": "malware", "Files": [{ "Type": "file", "FileHashes": [{ "Value": SHA1 }, { "Value": SHA256 }] }] }),
            json!([{ "Type": "Microsoft.SecurityInsights.FileHash", "hashValue": SHA1 }, { "@odata.type": "#microsoft.graph.fileHash", "hashValue": SHA256 }]),
            json!([{ "kind": "FileHash", "hashValue": SHA1, "properties": {} }, { "kind": "FileHash", "hash_value": SHA256, "properties": null }]),
        ] {
            let entities = entity.as_array().cloned().unwrap_or_else(|| vec![entity]);
            reads(&json!({ "Entities": entities }));
        }
        let both = [
            json!({ "Type": "filehash", "algorithm": "SHA256AC", "value": SHA256 }),
            json!({ "Type": "filehash", "algorithm": "SHA256", "value": SHA256 }),
        ];
        assert_eq!(hashes(&both).unwrap().len(), 2, "the valid one is asked");
    }

    #[test]
    fn entities_of_an_unusable_form_are_no_empty_list() {
        for body in [
            json!({ "Entities": "[{" }),
            json!({ "Entities": 7 }),
            json!({ "FileHashes": "x" }),
            json!({ "Entity": 1 }),
        ] {
            assert_eq!(of_body(&body), None, "{body}");
        }
    }
}
