//! `explorer`: a page to try the API with, and the descriptions of the API.
//!
//! The page loads nothing from elsewhere and may call this service alone: its
//! content-security policy says so. Nobody needs a token to open it; what it
//! calls needs one.

mod description;

use std::sync::{Arc, OnceLock};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, header},
};
use bytes::Bytes;
use functions::report::markup;
use serde_json::Value;

use super::{json_bytes, parameters, text};
use crate::{
    config::{ApiAuth, Config},
    error::ApiError,
};
use description::{Access, openapi, swagger};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/explorer";

const PAGE: &str = include_str!("explorer/page.html");
const STYLE: &str = include_str!("explorer/page.css");
const SCRIPT: &str = include_str!("explorer/page.js");

/// No external resource, no inline script, no frame around it, no form that
/// sends anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
];

/// What the page and the descriptions are made of.
#[derive(Debug)]
pub struct Explorer {
    access: Access,
    openapi: OnceLock<Result<Bytes, String>>,
    swagger: OnceLock<Result<Bytes, String>>,
}

impl Explorer {
    /// The explorer of a service with these settings. Costs nothing yet.
    pub fn new(config: &Config) -> Arc<Self> {
        let access = Access {
            auth: config.api_auth.clone(),
            login_url: config.login_url.as_str().trim_end_matches('/').to_owned(),
            host: config.public_host.clone(),
        };
        Arc::new(Self {
            access,
            openapi: OnceLock::new(),
            swagger: OnceLock::new(),
        })
    }

    fn page(&self) -> String {
        let (auth, audience) = match &self.access.auth {
            ApiAuth::Entra { audiences, .. } => ("entra", audiences.first()),
            ApiAuth::Host => ("host", None),
            ApiAuth::Off => ("off", None),
        };
        PAGE.replace("{{auth}}", auth)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .replace(
                "{{audience}}",
                &markup::html(audience.map(String::as_str).unwrap_or_default()),
            )
    }
}

/// Answers the page, one of its assets, or a description.
///
/// # Errors
/// A problem, see docs/api.md.
pub async fn explorer(
    explorer: Arc<Explorer>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    if *request.method() != Method::GET {
        return Err(ApiError::method_not_allowed("GET"));
    }
    parameters(&request, &[])?;
    let asset = request.uri().path().get(PATH.len()..).unwrap_or_default();
    let mut response = match asset.trim_matches('/') {
        "" => text("text/html; charset=utf-8", explorer.page()),
        "page.css" => text("text/css; charset=utf-8", STYLE.to_owned()),
        "page.js" => text("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        "openapi.json" => described(&explorer.openapi, || openapi(&explorer.access))?,
        "swagger.json" => described(&explorer.swagger, || swagger(&explorer.access))?,
        _ => return Err(ApiError::not_found()),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    debug_assert!(response.headers().contains_key(header::CONTENT_TYPE));
    Ok(response)
}

fn described(
    kept: &OnceLock<Result<Bytes, String>>,
    describe: impl FnOnce() -> Result<Value, serde_json::Error>,
) -> Result<Response<Body>, ApiError> {
    let make = || {
        let text = describe().map(|description| description.to_string());
        text.map(Bytes::from).map_err(|error| error.to_string())
    };
    match kept.get_or_init(make) {
        Ok(description) => Ok(json_bytes(description.clone())),
        Err(error) => Err(ApiError::internal(error.clone())),
    }
}
