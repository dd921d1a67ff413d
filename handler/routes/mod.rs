//! HTTP triggers: read the request, call the service, render the answer.

pub mod hashes;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;

use crate::error::ApiError;

/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// Reads the whole body, however it is framed.
///
/// # Errors
/// 413 above [`MAX_BODY_BYTES`], 400 when it breaks off.
pub async fn read_body(request: Request<Body>) -> Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), MAX_BODY_BYTES)
        .collect()
        .await
    {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {MAX_BODY_BYTES} bytes; send it in parts"),
        )),
        Err(error) => Err(ApiError {
            cause: error.to_string(),
            ..ApiError::new(
                StatusCode::BAD_REQUEST,
                "body_incomplete",
                "the body broke off",
            )
        }),
    }
}

/// Refuses query parameters that no answer depends on, so that a misspelt one
/// is not silently without effect. The host's own key parameters pass.
///
/// # Errors
/// 400 `unknown_parameter`.
pub fn refuse_unknown_parameters(request: &Request<Body>) -> Result<(), ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let unknown = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| !["code", "clientId"].contains(&name.as_ref()));
    match unknown {
        None => Ok(()),
        Some(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "unknown_parameter",
            "this path takes no query parameters; docs/api.md lists what it takes",
        )),
    }
}

/// A JSON answer.
///
/// # Errors
/// 500 when the value cannot be written as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
