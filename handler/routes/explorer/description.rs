//! Descriptions of the HTTP API: OpenAPI 3.1, generated from the code, and the
//! Swagger 2.0 that the Logic Apps and Power Platform connector designer takes.
//!
//! Source of the designer's rules:
//! <https://learn.microsoft.com/connectors/custom-connectors/define-openapi-definition>

mod swagger;

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use crate::config::ApiAuth;

pub(crate) use swagger::swagger;

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
