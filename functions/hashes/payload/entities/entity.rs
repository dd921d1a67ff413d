//! One entity: its kind, its properties, and the hash that it stands for.

use serde_json::Value;

use crate::hashes::{Observable, UnusableHash};

/// Names under which an entity carries its hash.
const VALUES: [&str; 3] = ["hashvalue", "filehash", "value"];

/// Fields that name their algorithm.
pub(super) const NAMED: [(&str, &str); 3] =
    [("sha256", "SHA256"), ("sha1", "SHA1"), ("md5", "MD5")];

/// Entities without hashes, whose texts must not be taken for some.
pub(super) const WITHOUT_HASHES: [&str; 9] = [
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

/// Longest name of a file, in characters: the longest path of Windows.
const MAX_NAME: usize = 260;

/// Names are compared without regard to case and underscores.
pub(super) fn is_same(name: &str, wanted: &str) -> bool {
    name.len() >= wanted.len() && letters(name).eq(letters(wanted))
}

pub(super) fn is_same_end(name: &str, wanted: &str) -> bool {
    let mut ends = letters(name).rev();
    name.len() >= wanted.len()
        && letters(wanted)
            .rev()
            .all(|letter| ends.next() == Some(letter))
}

/// The letters of a name that count.
fn letters(name: &str) -> impl DoubleEndedIterator<Item = u8> {
    let bytes = name.bytes().filter(|byte| *byte != b'_');
    bytes.map(|byte| byte.to_ascii_lowercase())
}

/// A field of an object.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields.get(name).or_else(|| {
        fields
            .iter()
            .find(|(key, _)| is_same(key, name))
            .map(|(_, value)| value)
    })
}

/// A field of an entity: in its `properties`, or next to them.
pub(super) fn property<'a>(entity: &'a Value, name: &str) -> Option<&'a Value> {
    let inside = field(entity, "properties")
        .and_then(|inside| field(inside, name))
        .filter(|value| !value.is_null());
    inside.or_else(|| field(entity, name))
}

pub(in crate::hashes::payload) fn kind(entity: &Value) -> String {
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

pub(super) fn is_file(entity: &Value) -> bool {
    kind(entity) == "file" || property(entity, "fileHashEntityIds").is_some()
}

/// The name of a file, at most 260 characters.
pub(super) fn name(entity: &Value) -> Option<String> {
    let name = ["fileName", "Name", "friendlyName"]
        .into_iter()
        .find_map(|field| property(entity, field)?.as_str())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.chars().take(MAX_NAME).collect())
}

fn value_of(entity: &Value) -> Option<&str> {
    VALUES
        .into_iter()
        .find_map(|name| property(entity, name)?.as_str())
}

/// Returns true if an entity is a hash: by its kind, or by its fields if it has no kind.
pub(super) fn is_hash(entity: &Value, listed: bool) -> bool {
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
pub(super) fn file_hash(entity: &Value) -> Observable {
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

pub(super) fn read(text: &str, algorithm: &str) -> Observable {
    match algorithm
        .to_ascii_uppercase()
        .replace(['-', '_'], "")
        .as_str()
    {
        "SHA256AC" => Observable::unusable(text, UnusableHash::Authenticode),
        _ => Observable::parse(text),
    }
}
