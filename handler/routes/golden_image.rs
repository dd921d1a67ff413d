//! `golden_image`: evidence of a machine checked against the checklist, and the scripts.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Request, Response, StatusCode, Uri, header},
};
use functions::golden_image::{Assessment, Evidence, Expectation, Script, assess};
use serde_json::json;
use tokio::time::{Duration, Instant};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use super::{RouteState, Segment};
use crate::{
    config::ImageDefaults,
    server::{
        ApiError, FromQuery, MAX_BODY_BYTES, ProblemCode, Query, QueryPairs, answer::PAGE_POLICY,
        json as json_answer, problem::Problem, read_body, text,
    },
};

/// Time within which the evidence has to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The file of the collector. No value of this type exists: `Evidence` reads it.
pub(super) enum CollectedEvidence {}

impl PartialSchema for CollectedEvidence {
    fn schema() -> RefOr<Schema> {
        let version = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("1."))
            .minimum(Some(1))
            .maximum(Some(1));
        let status = ObjectBuilder::new().description(Some(
            "The output of `Get-MpComputerStatus`; the other parts are next to it.",
        ));
        ObjectBuilder::new()
            .title(Some("Evidence"))
            .description(Some("The file of the collector."))
            .property("schemaVersion", version)
            .required("schemaVersion")
            .property("mpStatus", status)
            .required("mpStatus")
            .examples([json!({ "schemaVersion": 1, "mpStatus": {} })])
            .into()
    }
}

impl ToSchema for CollectedEvidence {}

/// The query parameters of an assessment.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssessQuery {
    /// golden or pooled; by default as the evidence says.
    #[param(pattern = "^(golden|pooled)$")]
    role: Option<String>,
    /// single or multiple device entries; by default the setting `VDI_ENTRY_MODEL`.
    #[param(pattern = "^(single|multiple)$")]
    entry: Option<String>,
    /// Trigger of the onboarding: local policy (default) or a task of the domain.
    #[param(pattern = "^(local|domain)$")]
    startup: Option<String>,
    /// Tag that the machine must carry; by default the setting `VDI_DEVICE_TAG`.
    #[param(
        pattern = "^[A-Za-z0-9_-]([A-Za-z0-9 _-]{0,198}[A-Za-z0-9_-])?$",
        example = "VDI-NonPersistent"
    )]
    tag: Option<String>,
    /// json (default), markdown or html.
    #[param(pattern = "^(json|markdown|html)$")]
    format: Option<String>,
}

impl FromQuery for AssessQuery {
    const NAMES: &'static [&'static str] = &["role", "entry", "startup", "tag", "format"];

    fn from_query(pairs: &QueryPairs) -> Result<Self, ApiError> {
        let text = |name| pairs.get(name).map(str::to_owned);
        let format = text("format").map(|format| format.to_ascii_lowercase());
        let is_known = |format: &String| ["json", "markdown", "html"].contains(&format.as_str());
        if format.as_ref().is_some_and(|format| !is_known(format)) {
            return Err(not_allowed(
                "format: `json`, `markdown` and `html` are allowed",
            ));
        }
        Ok(Self {
            role: text("role"),
            entry: text("entry"),
            startup: text("startup"),
            tag: text("tag"),
            format,
        })
    }
}

impl AssessQuery {
    fn expectation(&self, defaults: &ImageDefaults) -> Result<Expectation, ApiError> {
        let role = self.role.as_deref().map(|text| read("role", text));
        let startup = self.startup.as_deref().unwrap_or("local");
        Ok(Expectation {
            role: role.transpose()?,
            entry: match &self.entry {
                Some(text) => read("entry", text)?,
                None => defaults.entry,
            },
            startup: read("startup", startup)?,
            tag: match &self.tag {
                Some(text) => read("tag", text)?,
                None => defaults.tag.clone(),
            },
        })
    }
}

/// Assesses a golden image or a pooled desktop
///
/// The body is the file of the collector (`GET /api/golden-image/collect-evidence`).
/// `safeToSeal` is null when it cannot be known. Needs the role `Reports.Read`.
#[utoipa::path(
    post,
    path = "/api/golden-image",
    operation_id = "AssessGoldenImage",
    tag = "VDI",
    params(AssessQuery),
    request_body(content = CollectedEvidence, description = "The evidence"),
    responses(
        (status = 200, description = "The checklist", content((Assessment = "application/json"), (String = "text/markdown"), (String = "text/html"))),
        (status = 413, description = "More than 4 MiB", body = Problem, content_type = "application/problem+json"),
        ApiError,
    ),
)]
pub(crate) async fn assess_image(
    State(context): State<RouteState>,
    Query(query): Query<AssessQuery>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let expected = query.expectation(&context.services.image)?;
    let body = read_body(request, MAX_BODY_BYTES, Instant::now() + BODY_TIME).await?;
    if body.is_empty() {
        return Err(bad(
            ProblemCode::EmptyBody,
            "send the file of the collector; GET /api/golden-image/collect-evidence answers the collector",
        ));
    }
    // Large evidence takes a while: other requests continue meanwhile.
    let work = move || {
        let evidence = Evidence::parse(&body);
        let evidence = evidence.map_err(|error| bad(ProblemCode::NoEvidence, error.to_string()))?;
        render(&assess(&evidence, &expected), query.format.as_deref())
    };
    let answered = tokio::task::spawn_blocking(work).await;
    answered.map_err(|error| ApiError::internal(error.to_string()))?
}

fn render(assessment: &Assessment, format: Option<&str>) -> Result<Response<Body>, ApiError> {
    Ok(match format {
        Some("markdown") => text("text/markdown; charset=utf-8", assessment.markdown()),
        Some("html") => page(assessment.html()),
        _ => json_answer(StatusCode::OK, assessment)?,
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
        ApiError,
    ),
)]
pub(crate) async fn script(
    State(context): State<RouteState>,
    segment: Segment,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let defaults = &context.services.image;
    let name = segment.text();
    let name = name.strip_suffix(".ps1").unwrap_or(&name);
    let Some(mut script) = Script::named(name, defaults.entry, &defaults.tag) else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            ProblemCode::NoSuchScript,
            format!("the scripts are {}", Script::NAMES.join(", ")),
        ));
    };
    let pairs = QueryPairs::read(uri.query(), script.options(), &["profiles"])?;
    for (option, value) in pairs.iter() {
        script
            .set(option, value)
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
    let policy = HeaderValue::from_static(PAGE_POLICY);
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
    bad(ProblemCode::InvalidParameter, detail)
}

fn bad(code: ProblemCode, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, detail)
}
