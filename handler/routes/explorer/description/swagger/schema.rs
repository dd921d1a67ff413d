//! Schemas of Swagger 2.0, from those of OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::title;

/// A schema as Swagger 2.0 has it: no null type, no `oneOf`, and the parts of an
/// `allOf` in one object, which is what the designer shows.
pub(super) fn definition(schema: &Value, api: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return json!({ "$ref": reference.replace("#/components/schemas/", "#/definitions/") });
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        return one_of(parts, api);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all_of = merged(parts, api);
        if let Some(description) = schema.get("description") {
            all_of["description"] = description.clone();
        }
        return all_of;
    }
    let Some(schema) = schema.as_object() else {
        return json!({});
    };
    let mut flat = Map::new();
    for (key, value) in schema {
        match key.as_str() {
            "type" => take_type(&mut flat, value),
            "properties" => drop(flat.insert(key.clone(), properties(value, api))),
            "items" => drop(flat.insert(key.clone(), definition(value, api))),
            "examples" | "propertyNames" => {}
            _ => drop(flat.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(flat)
}

/// The first alternative that is not null. A nullable one is written inline, because
/// nothing counts next to a reference.
fn one_of(parts: &[Value], api: &Value) -> Value {
    let Some(part) = parts.iter().find(|part| part["type"] != "null") else {
        return json!({});
    };
    if parts.iter().all(|part| part["type"] != "null") {
        return definition(part, api);
    }
    let mut flat = definition(resolved(part, api), api);
    flat["x-nullable"] = json!(true);
    if let Some(description) = part.get("description") {
        flat["description"] = description.clone();
    }
    flat
}

fn take_type(flat: &mut Map<String, Value>, kind: &Value) {
    let kinds = kind.as_array();
    let nullable = kinds.is_some_and(|kinds| kinds.contains(&json!("null")));
    let only = kinds.and_then(|kinds| kinds.iter().find(|kind| **kind != "null"));
    flat.insert("type".to_owned(), only.unwrap_or(kind).clone());
    if nullable {
        flat.insert("x-nullable".to_owned(), json!(true));
    }
}

fn properties(properties: &Value, api: &Value) -> Value {
    let properties = properties.as_object().into_iter().flatten();
    let flat = properties.map(|(name, schema)| {
        let mut flat = definition(schema, api);
        // Nothing counts next to a reference.
        if flat.get("$ref").is_none() {
            flat["x-ms-summary"] = json!(title(name));
        }
        (name.clone(), flat)
    });
    Value::Object(flat.collect())
}

fn merged(parts: &[Value], api: &Value) -> Value {
    let mut all_of = json!({ "type": "object", "properties": {} });
    let mut required = Vec::new();
    for part in parts {
        let part = definition(resolved(part, api), api);
        if let (Some(all), Some(more)) = (
            all_of["properties"].as_object_mut(),
            part["properties"].as_object(),
        ) {
            all.extend(more.clone());
        }
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
        if let Some(description) = part.get("description") {
            all_of["description"] = description.clone();
        }
    }
    if !required.is_empty() {
        all_of["required"] = json!(required);
    }
    all_of
}

/// The target of a reference, or the schema itself.
///
/// Of a schema that may be null, the alternative that is not null.
fn resolved<'a>(schema: &'a Value, api: &'a Value) -> &'a Value {
    if let Some(parts) = schema["oneOf"].as_array() {
        let part = parts.iter().find(|part| part["type"] != "null");
        return part.map_or(schema, |part| resolved(part, api));
    }
    match schema["$ref"].as_str() {
        Some(reference) => api
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or(schema),
        None => schema,
    }
}
