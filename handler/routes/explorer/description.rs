//! Descriptions of the HTTP API: OpenAPI 3.1, generated from the code, and the
//! Swagger 2.0 that the Logic Apps and Power Platform connector designer takes.
//!
//! Source of the designer's rules:
//! <https://learn.microsoft.com/connectors/custom-connectors/define-openapi-definition>

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::config::ApiAuth;

/// How callers authenticate, for a description.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Setting `API_AUTH`.
    pub(super) auth: ApiAuth,
    /// Setting `LOGIN_URL`, without a slash at its end.
    pub(super) login_url: String,
    /// Public host name; `None` where the description is served on it.
    pub(super) host: Option<String>,
}

/// The API as OpenAPI 3.1.
///
/// # Errors
/// When the description cannot be written as JSON: a mistake in the code.
pub(super) fn openapi(routes: &OpenApi, access: &Access) -> Result<Value, serde_json::Error> {
    let mut api = serde_json::to_value(routes)?;
    tidy(&mut api);
    if let Some((name, scheme)) = scheme(&access.auth) {
        api["components"]["securitySchemes"] = json!({ name: scheme });
        api["security"] = json!([{ name: [] }]);
    }
    Ok(api)
}

/// Turns doc comments into texts: no line breaks, no links into the code.
///
/// Drops a default of null, which says nothing.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text
                    .replace('\n', " ")
                    .replace("[`", "`")
                    .replace("`]", "`")
                    .replace("super::", "");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn scheme(auth: &ApiAuth) -> Option<(&'static str, Value)> {
    match auth {
        ApiAuth::Entra { audiences, .. } => {
            let audience = audiences.first().map(String::as_str).unwrap_or_default();
            let description = format!(
                "A token of the tenant for `{audience}`, with the application role of the function."
            );
            let bearer = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description });
            Some(("entra", bearer))
        }
        ApiAuth::Host => Some(("functionKey", function_key())),
        ApiAuth::Off => None,
    }
}

fn function_key() -> Value {
    json!({ "type": "apiKey", "in": "header", "name": "x-functions-key", "description": "A key of the function or of the app." })
}

/// The API as Swagger 2.0.
///
/// # Errors
/// As [`openapi`].
pub(super) fn swagger(routes: &OpenApi, access: &Access) -> Result<Value, serde_json::Error> {
    let api = openapi(routes, access)?;
    let schemas = api["components"]["schemas"].as_object();
    let definitions: Map<String, Value> = schemas
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), definition(schema, &api)))
        .collect();
    let mut swagger = json!({
        "swagger": "2.0",
        "info": { "title": api["info"]["title"], "description": api["info"]["description"], "version": api["info"]["version"] },
        "basePath": "/",
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": paths(&api),
        "definitions": definitions,
    });
    if let Some(host) = &access.host {
        swagger["host"] = json!(host);
    }
    if let Some((name, scheme)) = swagger_scheme(access) {
        swagger["securityDefinitions"] = json!({ name: scheme });
        let scopes = swagger["securityDefinitions"][name]["scopes"].as_object();
        let scopes: Vec<String> = scopes.into_iter().flat_map(Map::keys).cloned().collect();
        swagger["security"] = json!([{ name: scopes }]);
    }
    Ok(swagger)
}

/// The designer knows people's sign-in and keys, not the bearer scheme.
fn swagger_scheme(access: &Access) -> Option<(&'static str, Value)> {
    match &access.auth {
        ApiAuth::Entra { tenant, audiences } => {
            let authority = format!("{}/{tenant}/oauth2/v2.0", access.login_url);
            let audience = audiences.first().map(String::as_str).unwrap_or_default();
            let scope = format!("{audience}/.default");
            let oauth = json!({
                "type": "oauth2", "flow": "accessCode",
                "authorizationUrl": format!("{authority}/authorize"), "tokenUrl": format!("{authority}/token"),
                "scopes": { scope: "what the person may do" },
            });
            Some(("entra", oauth))
        }
        ApiAuth::Host => Some(("functionKey", function_key())),
        ApiAuth::Off => None,
    }
}

fn paths(api: &Value) -> Value {
    let mut paths = api["paths"].clone();
    for operation in paths
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
    {
        *operation = swagger_operation(operation, api);
    }
    paths
}

fn swagger_operation(operation: &Value, api: &Value) -> Value {
    let given = operation["parameters"].as_array();
    let mut parameters: Vec<Value> = given
        .into_iter()
        .flatten()
        // The designer knows one type of answer an operation: JSON.
        .filter(|parameter| parameter["name"] != "format")
        .map(|parameter| swagger_parameter(parameter, api))
        .collect();
    if let Some(body) = operation.get("requestBody") {
        parameters.push(json!({
            "in": "body", "name": "body", "required": true, "x-ms-summary": "Body", "description": body["description"],
            "schema": definition(&body["content"]["application/json"]["schema"], api),
        }));
    }
    let responses: Map<String, Value> = operation["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, response)| (status.clone(), swagger_response(response, api)))
        .collect();
    json!({
        "operationId": operation["operationId"],
        "summary": operation["summary"],
        "description": operation["description"],
        "tags": operation["tags"],
        "parameters": parameters,
        "responses": responses,
    })
}

/// A parameter has its schema inline in Swagger 2.0.
fn swagger_parameter(parameter: &Value, api: &Value) -> Value {
    let Value::Object(mut flat) = definition(&parameter["schema"], api) else {
        return Value::Null;
    };
    if let Some(items) = flat.get_mut("items").and_then(Value::as_object_mut) {
        items.remove("description");
        flat.insert("collectionFormat".to_owned(), json!("csv"));
    }
    let name = parameter["name"].as_str().unwrap_or_default();
    let visibility = match parameter["in"].as_str() {
        Some("path") => "important",
        _ => "advanced",
    };
    for key in ["name", "in", "description"] {
        flat.insert(key.to_owned(), parameter[key].clone());
    }
    flat.insert("required".to_owned(), json!(parameter["required"] == true));
    flat.insert("x-ms-summary".to_owned(), json!(title(name)));
    flat.insert("x-ms-visibility".to_owned(), json!(visibility));
    flat.remove("x-nullable");
    Value::Object(flat)
}

fn swagger_response(response: &Value, api: &Value) -> Value {
    let content = &response["content"];
    let types = ["application/json", "application/problem+json"];
    let schema = types.iter().find_map(|kind| content[*kind].get("schema"));
    let mut swagger = json!({ "description": response["description"] });
    if let Some(schema) = schema {
        swagger["schema"] = definition(schema, api);
    }
    if let Some(headers) = response["headers"].as_object() {
        let flat = headers.iter().map(|(name, header)| {
            let description = header["description"].clone();
            (
                name.clone(),
                json!({ "type": "integer", "description": description }),
            )
        });
        swagger["headers"] = Value::Object(flat.collect());
    }
    swagger
}

/// A schema as Swagger 2.0 has it: no null type, no `oneOf`, and the parts of an
/// `allOf` in one object, which is what the designer shows.
fn definition(schema: &Value, api: &Value) -> Value {
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

/// A field's name as the designer's title: `globalPrevalence` is
/// "Global Prevalence".
fn title(name: &str) -> String {
    let mut title = String::new();
    for (index, c) in name.chars().enumerate() {
        match c {
            _ if index == 0 => title.extend(c.to_uppercase()),
            _ if c.is_ascii_uppercase() => title.extend([' ', c]),
            _ => title.push(c),
        }
    }
    title
}
