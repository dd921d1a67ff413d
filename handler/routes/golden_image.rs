//! `golden_image`: evidence of a machine against the checklist, and the scripts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use functions::vdi::{Assessment, Evidence, Expectation, Script, assess};
use serde::Serialize;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

use super::{MAX_BODY_BYTES, json, pairs, parameters, read_body, text};
use crate::{
    auth::Role,
    config::ImageDefaults,
    error::{ApiError, Problem, Problems},
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/golden-image";

/// Time within which the evidence has to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What the collector writes, as far as a description tells it.
#[derive(Serialize, ToSchema)]
#[schema(title = "Evidence")]
#[serde(rename_all = "camelCase")]
struct CollectedEvidence {
    /// 1.
    #[schema(minimum = 1, maximum = 1)]
    schema_version: u8,
    /// What `Get-MpComputerStatus` answers; the other parts are beside it.
    mp_status: BTreeMap<String, String>,
}

/// The role that a method needs.
pub fn role(_: &Method) -> Role {
    Role::ReportsRead
}

/// Answers a request to `/api/golden-image`.
///
/// # Errors
/// 400 when the body is no evidence or a parameter is not allowed, 404
/// `no_such_script`, 405, 413.
pub async fn golden_image(
    defaults: Arc<ImageDefaults>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let path = request.uri().path();
    let name = path.strip_prefix(PATH).unwrap_or_default();
    let name = name.trim_matches('/').to_owned();
    match *request.method() {
        Method::POST if name.is_empty() => assessed(&defaults, request).await,
        Method::GET | Method::HEAD if !name.is_empty() => script(&defaults, &name, &request),
        _ if name.is_empty() => Err(ApiError::method_not_allowed("POST")),
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

/// Assesses a golden image or a pooled desktop
///
/// The body is what the collector wrote (`GET /api/golden-image/collect-evidence`).
/// `safeToSeal` is null when it cannot be known. Needs the role `Reports.Read`.
#[utoipa::path(
    post,
    path = "/api/golden-image",
    operation_id = "AssessGoldenImage",
    tag = "VDI",
    params(
        ("role" = Option<String>, Query, description = "golden or pooled; by default what the evidence says", pattern = "^(golden|pooled)$"),
        ("entry" = Option<String>, Query, description = "single or multiple device entries; by default the setting VDI_ENTRY_MODEL", pattern = "^(single|multiple)$"),
        ("startup" = Option<String>, Query, description = "what starts the onboarding: local policy (default) or a task of the domain", pattern = "^(local|domain)$"),
        ("tag" = Option<String>, Query, description = "tag that the machine must carry; by default the setting VDI_DEVICE_TAG", pattern = "^[A-Za-z0-9 _-]{1,200}$", example = "VDI-NonPersistent"),
        ("format" = Option<String>, Query, description = "json (default), markdown or html", pattern = "^(json|markdown|html)$"),
    ),
    request_body(content = CollectedEvidence, description = "The evidence"),
    responses(
        (status = 200, description = "The checklist", content((Assessment = "application/json"), (String = "text/markdown"), (String = "text/html"))),
        (status = 413, description = "More than 4 MiB", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn assessed(
    defaults: &ImageDefaults,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let given = parameters(&request, &["role", "entry", "startup", "tag", "format"])?;
    let text_of = |name: &str| given.get(name).map(String::as_str);
    let expected = Expectation {
        role: text_of("role").map(|text| read("role", text)).transpose()?,
        entry: text_of("entry").map_or(Ok(defaults.entry), |text| read("entry", text))?,
        startup: read("startup", text_of("startup").unwrap_or("local"))?,
        tag: text_of("tag").map_or(Ok(defaults.tag.clone()), |text| read("tag", text))?,
    };
    let format = text_of("format").unwrap_or("json").to_ascii_lowercase();
    if !["json", "markdown", "html"].contains(&format.as_str()) {
        return Err(not_allowed(
            "format: `json`, `markdown` and `html` are allowed",
        ));
    }
    let body = read_body(request, MAX_BODY_BYTES, Instant::now() + BODY_TIME).await?;
    if body.is_empty() {
        return Err(bad(
            "empty_body",
            "send the file that the collector wrote; GET /api/golden-image/collect-evidence answers the collector",
        ));
    }
    let evidence = Evidence::parse(&body).map_err(|error| bad("no_evidence", error.to_string()))?;
    let assessment = assess(&evidence, &expected);
    Ok(match format.as_str() {
        "markdown" => text("text/markdown; charset=utf-8", assessment.markdown()),
        "html" => page(assessment.html()),
        _ => json(StatusCode::OK, &assessment)?,
    })
}

/// A script for one step
///
/// In it are the values of the query: `package`, `entry`, `tag`, `share`,
/// `profiles` (may be repeated), `cloud-cache`, `quick-scan-time`; each script takes
/// its own. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/golden-image/{script}",
    operation_id = "GetGoldenImageScript",
    tag = "VDI",
    params(("script" = String, Path, description = "Name of the script", pattern = "^[a-z]+(-[a-z]+)?$", example = "collect-evidence")),
    responses(
        (status = 200, description = "The script, for Windows PowerShell 5.1", body = String, content_type = "text/plain"),
        (status = 404, description = "No script has this name", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) fn script(
    defaults: &ImageDefaults,
    name: &str,
    request: &Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let name = name.strip_suffix(".ps1").unwrap_or(name);
    let Some(mut script) = Script::named(name, defaults.entry, &defaults.tag) else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_script",
            format!("the scripts are {}", Script::NAMES.join(", ")),
        ));
    };
    for (option, value) in pairs(request, script.options(), &["profiles"])? {
        script
            .set(&option, &value)
            .map_err(|error| not_allowed(error.to_string()))?;
    }
    let mut response = text("text/plain; charset=utf-8", script.render());
    let file = format!("attachment; filename=\"{}.ps1\"", script.name());
    if let Ok(file) = HeaderValue::from_str(&file) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, file);
    }
    Ok(response)
}

fn page(html: String) -> Response<Body> {
    let mut response = text("text/html; charset=utf-8", html);
    let policy = HeaderValue::from_static(super::PAGE_POLICY);
    response
        .headers_mut()
        .insert("content-security-policy", policy);
    response
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error| not_allowed(format!("{name}: {error}")))
}

fn not_allowed(detail: impl Into<String>) -> ApiError {
    bad("invalid_parameter", detail)
}

fn bad(code: &str, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, detail)
}
