//! The data that the Functions host sends, and how it reads replies.
//!
//! Written from the host's sources; see the ids of the conformance tests.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// A value of the host's binding data or input, by its .NET type.
#[derive(Clone, Debug)]
pub enum Bound {
    Bytes(Vec<u8>),
    Date(&'static str),
    Object(Value),
    Other(Value),
}

/// Writes a value as the host does.
///
/// Bytes are base64, dates and objects are unchanged, everything else is JSON inside
/// a JSON string.
pub fn convert(value: &Bound) -> Value {
    match value {
        Bound::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Bound::Date(date) => (*date).into(),
        Bound::Object(object) => object.clone(),
        Bound::Other(json) => json.to_string().into(),
    }
}

/// The envelope of a call.
pub fn envelope(data: Map<String, Value>, metadata: Map<String, Value>) -> Value {
    json!({ "Data": data, "Metadata": metadata })
}

/// An HTTP request as the host wraps it, binding `req`.
pub fn http_envelope(
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Value {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        all.entry((*name).to_owned())
            .or_default()
            .push((*value).to_owned());
    }
    all.entry("Host".to_owned())
        .or_default()
        .push("app.azurewebsites.net".to_owned());
    let mut request = json!({
        "Url": format!("https://app.azurewebsites.net{path_and_query}"),
        "Method": method,
        "Query": {},
        "Headers": all,
        "Params": { "hash": null },
        "Identities": [{ "AuthenticationType": null, "IsAuthenticated": false, "Claims": [] }],
    });
    if let Some(body) = body {
        request["Body"] = body.into();
    }
    envelope(
        Map::from_iter([("req".to_owned(), request)]),
        Map::from_iter([("sys".to_owned(), json!({}))]),
    )
}

/// The result that the host reads from a reply to an envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    pub outputs: Map<String, Value>,
    pub logs: Vec<String>,
    pub return_value: Value,
}

/// The reasons the host fails an invocation, or never ends it.
#[derive(Clone, Debug, PartialEq)]
pub enum InvocationFailure {
    /// Connection refused, reset, or not 2xx.
    HttpRequest(String),
    /// 2xx with a body that is not a result.
    InvalidOperation(String),
    /// 204, an empty body or `null`: waits for the function's time-out.
    Hangs,
}

/// Reads a reply as the host does.
pub fn read_reply(
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Completed, InvocationFailure> {
    let text = String::from_utf8_lossy(body);
    if !(200..300).contains(&status) {
        return Err(InvocationFailure::HttpRequest(format!("status {status}")));
    }
    if status == 204 || body.is_empty() || text.trim() == "null" {
        return Err(InvocationFailure::Hangs);
    }
    if !content_type
        .is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/json"))
    {
        return Err(InvocationFailure::InvalidOperation(format!(
            "UnsupportedMediaType: {content_type:?}"
        )));
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
        return Err(InvocationFailure::InvalidOperation(format!(
            "Invalid HttpResponseMessage: StatusCode: {status} {text}"
        )));
    };
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    let logs = field("Logs")
        .and_then(|logs| logs.as_array().cloned())
        .unwrap_or_default();
    Ok(Completed {
        outputs: field("Outputs")
            .and_then(|outputs| outputs.as_object().cloned())
            .unwrap_or_default(),
        logs: logs
            .iter()
            .map(|line| {
                line.as_str()
                    .map_or_else(|| line.to_string(), str::to_owned)
            })
            .collect(),
        return_value: field("ReturnValue").unwrap_or_default(),
    })
}

/// The status and body that an HTTP output binding answers.
pub fn bind_http(output: Option<&Value>) -> Result<(u16, String), InvocationFailure> {
    let Some(output) = output else {
        return Ok((200, "{}".to_owned()));
    };
    let Value::Object(response) = output else {
        return Err(InvocationFailure::InvalidOperation(
            "the HTTP output is not an object".to_owned(),
        ));
    };
    let status = match response.get("statusCode") {
        None => 200,
        Some(Value::String(text)) => text
            .parse()
            .map_err(|_| InvocationFailure::InvalidOperation(text.clone()))?,
        Some(number) => number.as_u64().unwrap_or(200) as u16,
    };
    let body = match response.get("body") {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(json) => serde_json::to_string_pretty(json).unwrap_or_default(),
    };
    Ok((status, body))
}
