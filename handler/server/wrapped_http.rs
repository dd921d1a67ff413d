//! HTTP requests that a host without forwarding wraps in an envelope.
//!
//! The wrapped request runs through the same routes as a forwarded one.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::problem_code::ProblemCode;
use super::{ApiError, Invocation, Reply, host::INVOCATION_ID_HEADER};

/// Names of the bindings in the `function.json` of every HTTP function.
const INPUT: &str = "req";

const OUTPUT: &str = "res";

/// Headers that describe the hop to the host and not the wrapped body.
const HOP: [&str; 5] = [
    "connection",
    "content-length",
    "expect",
    "transfer-encoding",
    INVOCATION_ID_HEADER,
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrappedRequest {
    url: String,
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    body: Option<Value>,
}

/// The HTTP request in an envelope.
///
/// # Errors
/// 400 with a code that starts with `envelope_` when nothing can be unwrapped.
pub(super) fn unwrap(invocation: &Invocation) -> Result<Request<Body>, ApiError> {
    let unusable = |cause: String| ApiError {
        cause,
        ..ApiError::new(
            axum::http::StatusCode::BAD_REQUEST,
            ProblemCode::EnvelopeInput,
            "the wrapped HTTP request cannot be read",
        )
    };
    let wrapped = WrappedRequest::deserialize(invocation.input(INPUT)?)
        // The error would quote what it could not read.
        .map_err(|_| unusable("a field has another type than the host gives it".to_owned()))?;
    let url = Url::parse(&wrapped.url).map_err(|error| unusable(error.to_string()))?;
    let target = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    let body = match wrapped.body {
        None | Some(Value::Null) => Body::empty(),
        Some(Value::String(text)) => Body::from(body_bytes(text, &wrapped.headers)),
        Some(json) => Body::from(json.to_string()),
    };
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(wrapped.method.as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    *request.uri_mut() = target
        .parse::<Uri>()
        .map_err(|error| unusable(error.to_string()))?;
    copy_headers(&wrapped.headers, request.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&invocation.id.0) {
        request.headers_mut().insert(INVOCATION_ID_HEADER, id);
    }
    Ok(request)
}

/// The host writes binary bodies as base64 and all others as they are.
fn body_bytes(text: String, headers: &BTreeMap<String, Vec<String>>) -> Vec<u8> {
    let named = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = named
        .and_then(|(_, values)| values.first())
        .map(|value| value.to_ascii_lowercase());
    let binary = ["application/octet-stream", "multipart/"];
    match content_type {
        Some(kind) if binary.iter().any(|binary| kind.starts_with(binary)) => {
            STANDARD.decode(&text).unwrap_or_else(|_| text.into_bytes())
        }
        _ => text.into_bytes(),
    }
}

fn copy_headers(from: &BTreeMap<String, Vec<String>>, to: &mut HeaderMap) {
    for (name, values) in from {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        if HOP.contains(&name.as_str()) {
            continue;
        }
        for value in values
            .iter()
            .filter_map(|value| HeaderValue::from_str(value).ok())
        {
            to.append(name.clone(), value);
        }
    }
}

pub(super) async fn wrap(response: Response<Body>) -> Result<Reply, ApiError> {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
        .to_bytes();
    let headers: Map<String, Value> = parts
        .headers
        .iter()
        .filter(|(name, _)| !HOP.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), Value::from(value.to_str().ok()?))))
        .collect();
    Ok(Reply::done().http(
        OUTPUT,
        parts.status,
        headers,
        &String::from_utf8_lossy(&body),
    ))
}
