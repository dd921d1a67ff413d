//! `explorer`: a page to try the API with, and the descriptions of the API.
//!
//! The page loads nothing from elsewhere and may call only this service: its
//! content-security policy says so. Opening it needs no token; what it calls needs
//! one.

mod description;

use std::sync::OnceLock;

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Response},
    routing::get,
};
use bytes::Bytes;
use functions::report::html;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{RouteState, Segment};
use crate::{
    config::{ApiAuth, Config},
    server::{ApiError, Query, json_bytes, query::NoParameters, text},
};
use description::{Access, openapi, swagger};

const STYLE: &str = include_str!("explorer/page.css");

const SCRIPT: &str = include_str!("explorer/page.js");

#[derive(Template)]
#[template(path = "explorer/page.html", config = "handler/askama.toml")]
struct Page<'a> {
    auth: &'static str,
    audience: &'a str,
    version: &'static str,
}

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

/// The page and the descriptions, for the settings of a service.
#[derive(Debug)]
pub struct Explorer {
    access: Access,
    describe: fn() -> OpenApi,
    openapi: OnceLock<Option<Bytes>>,
    swagger: OnceLock<Option<Bytes>>,
}

impl Explorer {
    /// The explorer of a service with these settings, whose routes `describe` lists.
    /// Costs nothing yet.
    pub fn new(config: &Config, describe: fn() -> OpenApi) -> Self {
        let access = Access {
            auth: config.callers.auth.clone(),
            login_url: config
                .callers
                .login_url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            host: config.platform.public_host.clone(),
        };
        Self {
            access,
            describe,
            openapi: OnceLock::new(),
            swagger: OnceLock::new(),
        }
    }

    fn page(&self) -> Page<'_> {
        let (auth, audience) = match &self.access.auth {
            ApiAuth::Entra { audiences, .. } => ("entra", audiences.first()),
            ApiAuth::Host => ("host", None),
            ApiAuth::Off => ("off", None),
        };
        Page {
            auth,
            audience: audience.map(String::as_str).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The routes; they are not part of the description.
pub(crate) fn routes() -> OpenApiRouter<RouteState> {
    OpenApiRouter::new()
        .route("/api/explorer", get(page))
        .route("/api/explorer/{asset}", get(asset))
}

async fn page(State(context): State<RouteState>, _: Query<NoParameters>) -> Response<Body> {
    let page = html::render(&context.explorer.page());
    guarded(text("text/html; charset=utf-8", page))
}

async fn asset(
    State(context): State<RouteState>,
    segment: Segment,
    _: Query<NoParameters>,
) -> Result<Response<Body>, ApiError> {
    let Explorer {
        access,
        describe,
        openapi: kept,
        swagger: kept_swagger,
    } = &context.explorer;
    let response = match &*segment.text() {
        "page.css" => text("text/css; charset=utf-8", STYLE.to_owned()),
        "page.js" => text("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        "openapi.json" => described(kept, || openapi(&describe(), access))?,
        "swagger.json" => described(kept_swagger, || swagger(&describe(), access))?,
        _ => return Err(ApiError::not_found()),
    };
    Ok(guarded(response))
}

/// The response with the headers of a page that loads nothing from elsewhere.
fn guarded(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn described(
    kept: &OnceLock<Option<Bytes>>,
    describe: impl FnOnce() -> Result<Value, serde_json::Error>,
) -> Result<Response<Body>, ApiError> {
    let make = || match describe() {
        Ok(description) => Some(Bytes::from(description.to_string())),
        Err(error) => {
            tracing::error!(code = "description", cause = %error, "the API cannot be described");
            None
        }
    };
    match kept.get_or_init(make) {
        Some(description) => Ok(json_bytes(description.clone())),
        None => Err(ApiError::internal("the API cannot be described")),
    }
}
