//! Entities of Sentinel, in every shape of its payloads.

use serde_json::Value;
use serde_json::json;

use super::*;

const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";

const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";

const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

fn hashes(entities: &[Value]) -> Option<Vec<Observable>> {
    read(entities).map(|inputs| inputs.observables)
}

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
    serde_json::from_str(include_str!(
        "../../../../tests/data/sentinel/incident.json"
    ))
    .unwrap()
}

#[test]
fn every_trigger_of_one_incident_gives_the_same_hashes() {
    reads(&incident());
    reads(
        &serde_json::from_str(include_str!("../../../../tests/data/sentinel/alert.json")).unwrap(),
    );
    reads(
        &serde_json::from_str(include_str!(
            "../../../../tests/data/sentinel/get-filehashes.json"
        ))
        .unwrap(),
    );
    reads(
        &serde_json::from_str(include_str!(
            "../../../../tests/data/stat/base-module-body.json"
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
fn field_h14_digits_win_over_an_algorithm_that_cannot_be_right() {
    let one = |algorithm: &str, value: &str| {
        let mut found =
            hashes(&[json!({ "Type": "FileHash", "algorithm": algorithm, "hash_value": value })])
                .unwrap();
        found.remove(0).hash.map_err(|reason| reason.code())
    };
    assert_eq!(one("SHA256AC", SHA256), Err("hash_authenticode"));
    assert_eq!(one("MD5", MD5), Err("hash_md5"));
    assert!(one("MD5", SHA1).is_ok() && one("SHA1", SHA256).is_ok());
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
    assert_eq!(hashes(&[deep]), None, "too deep is refused, not cut");
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

#[test]
fn field_h08_files_keep_their_names_and_those_without_a_hash_are_named() {
    let entities = [
        json!({ "kind": "File", "properties": { "fileName": "a.exe", "fileHashEntityIds": ["h1"] } }),
        json!({ "kind": "FileHash", "id": "h1", "properties": { "hashValue": SHA1, "algorithm": "SHA1" } }),
        json!({ "Type": "file", "Name": "b.dll", "FileHashes": [{ "Algorithm": "SHA256", "Value": SHA256 }] }),
        json!({ "Type": "file", "Name": "c.js", "FileHashes": [] }),
        json!({ "Type": "file", "Name": "again.exe", "FileHashes": [{ "Algorithm": "SHA1", "Value": SHA1 }] }),
        json!({ "kind": "Host", "properties": { "hostName": "pc-1" } }),
    ];
    let inputs = read(&entities).unwrap();
    let names: Vec<_> = inputs
        .observables
        .iter()
        .map(|input| input.file_name.as_deref())
        .collect();
    assert_eq!(names, [Some("a.exe"), Some("b.dll")]);
    assert_eq!(inputs.files_without_hash, ["c.js"]);
    assert!(inputs.are_entities);
}

#[test]
fn field_s03_the_cost_is_bounded_by_the_fields_that_are_looked_at() {
    // One entity with 35,000 fields, and 2,500 references to it from files of their own.
    let body = |fields: usize, files: usize| {
        let mut large: serde_json::Map<String, Value> = (0..fields)
            .map(|number| (format!("f{number}"), json!(1)))
            .collect();
        large.insert("$id".to_owned(), json!("1"));
        let of_file = |number: usize| json!({ "Type": "file", "Name": format!("{number}.exe"), "Related": { "$ref": "1" } });
        let mut all: Vec<Value> = (0..files).map(of_file).collect();
        all.push(Value::Object(large));
        all
    };
    let hostile = body(35_000, 2_500);
    assert_eq!(hashes(&hostile), None, "too much to look at is refused");
    let mut walk = Walk::default();
    hostile.iter().for_each(|item| walk.index(item, 0));
    hostile
        .iter()
        .for_each(|item| walk.visit(item, None, true, 0));
    let beyond = walk.visits - MAX_VISITS;
    assert!(
        beyond < 2 * 35_000 + 10_000,
        "it ends with the entity that is too much: {beyond}"
    );
    assert!(
        hashes(&body(100, 1_000)).is_some(),
        "an ordinary size is read"
    );
}
