//! The description in Swagger 2.0, which connectors need.

mod schema;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::{Access, function_key, openapi};
use crate::config::ApiAuth;
use schema::definition;

/// The API as Swagger 2.0.
///
/// # Errors
/// As [`openapi`].
pub(crate) fn swagger(routes: &OpenApi, access: &Access) -> Result<Value, serde_json::Error> {
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
