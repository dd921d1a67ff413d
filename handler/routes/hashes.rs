//! `hash_lookup`: `GET /api/hashes/{hash}` and `POST /api/hashes`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Method, Request, Response, StatusCode, header},
};
use functions::hashes::{
    HashResult, ItemStatus, LookupAnswer, Observable, UnusableRequest, payload,
};
use percent_encoding::percent_decode_str;

use super::{MAX_BODY_BYTES, json, parameters, read_body, text};
use tokio::time::Instant;

use crate::{
    auth::{Caller, Role},
    error::ApiError,
    services::{
        Services,
        hashes::{Include, Shown},
    },
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/hashes";

/// Answers one hash or a list.
///
/// # Errors
/// A problem, see docs/api.md.
pub async fn hash_lookup(
    State(services): State<Arc<Services>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let hash = request
        .uri()
        .path()
        .get(PATH.len()..)
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    match *request.method() {
        Method::GET => {
            let asked = Asked::of(&request)?;
            one(&services, &hash, asked).await
        }
        Method::POST if hash.is_empty() => {
            let asked = Asked::of(&request)?;
            list(&services, request, asked).await
        }
        Method::POST => Err(ApiError::method_not_allowed("GET")),
        _ => Err(ApiError::method_not_allowed("GET, POST")),
    }
}

/// What an answer looks like: query parameter `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Markdown,
    Html,
    Csv,
    Stat,
}

/// What the query parameters ask for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    format: Format,
    include: Include,
}

impl Asked {
    fn of(request: &Request<Body>) -> Result<Self, ApiError> {
        let parameters = parameters(request, &["format", "include"])?;
        let bad = |code: &str, detail: &str| ApiError::new(StatusCode::BAD_REQUEST, code, detail);
        let format = match parameters.get("format").map_or("json", String::as_str) {
            "json" => Format::Json,
            "markdown" => Format::Markdown,
            "html" => Format::Html,
            "csv" => Format::Csv,
            "stat" => Format::Stat,
            _ => {
                return Err(bad(
                    "unknown_format",
                    "the query parameter format is one of json, markdown, html, csv, stat",
                ));
            }
        };
        let sees_devices = request
            .extensions()
            .get::<Caller>()
            .is_some_and(|caller| caller.has(Role::DevicesRead));
        let mut include = Include::default();
        for source in parameters
            .get("include")
            .into_iter()
            .flat_map(|list| list.split(','))
        {
            match source.trim() {
                "stats" => include.stats = true,
                "alerts" => include.alerts = true,
                "indicators" => include.indicators = true,
                "devices" if sees_devices => include.devices = Some(Shown::Listed),
                "devices" => include.devices = Some(Shown::Counted),
                _ => {
                    return Err(bad(
                        "unknown_include",
                        "the query parameter include lists stats, alerts, devices, indicators",
                    ));
                }
            }
        }
        Ok(Self { format, include })
    }
}

async fn look_up(
    services: &Services,
    inputs: &[Observable],
    include: Include,
    deadline: Instant,
) -> LookupAnswer {
    let answer = services.hashes.look_up_all(inputs, deadline).await;
    if include.is_empty() {
        return answer;
    }
    let results = services
        .hashes
        .add_evidence(answer.results, include, deadline)
        .await;
    LookupAnswer { results, ..answer }
}

fn render(answer: &LookupAnswer, format: Format) -> Result<Response<Body>, ApiError> {
    match format {
        Format::Json => json(StatusCode::OK, answer),
        Format::Stat => json(StatusCode::OK, &answer.to_stat()),
        Format::Markdown => Ok(text("text/markdown; charset=utf-8", answer.to_markdown())),
        Format::Html => Ok(text("text/html; charset=utf-8", answer.to_html())),
        Format::Csv => Ok(text("text/csv; charset=utf-8", answer.to_csv())),
    }
}

async fn one(services: &Services, hash: &str, asked: Asked) -> Result<Response<Body>, ApiError> {
    let text = percent_decode_str(hash).decode_utf8_lossy();
    let input = Observable::parse(&text);
    let deadline = services.hashes.deadline();
    let answer = look_up(services, &[input], asked.include, deadline).await;
    let [result] = answer.results.as_slice() else {
        return Err(ApiError::internal("one input gave no single result"));
    };
    match result.status {
        ItemStatus::Ok if asked.format == Format::Json => json(StatusCode::OK, result),
        ItemStatus::Ok => render(&answer, asked.format),
        _ => Err(unanswered(result)),
    }
}

async fn list(
    services: &Services,
    request: Request<Body>,
    asked: Asked,
) -> Result<Response<Body>, ApiError> {
    let deadline = services.hashes.deadline();
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    refuse_compressed(&request)?;
    let body = read_body(request, MAX_BODY_BYTES, deadline).await?;
    // Large bodies take a while: other requests go on meanwhile.
    let parsed = tokio::task::spawn_blocking(move || payload::parse(&content_type, &body)).await;
    let inputs = parsed.map_err(|error| ApiError::internal(error.to_string()))??;
    let answer = look_up(services, &inputs, asked.include, deadline).await;
    let mut response = render(&answer, asked.format)?;
    if let Some(seconds) = answer.retry_after_seconds().filter(|_| !answer.complete) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

fn refuse_compressed(request: &Request<Body>) -> Result<(), ApiError> {
    let encoding = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    match encoding.unwrap_or("identity") {
        "identity" | "" => Ok(()),
        _ => {
            let detail = "the body is compressed; send it as it is";
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "compressed_body",
                detail,
            ))
        }
    }
}

/// A single look-up without a verdict is a problem: 400 when the caller can
/// mend it, 503 when a retry helps, 502 when the operator has to act.
fn unanswered(result: &HashResult) -> ApiError {
    let Some(error) = &result.error else {
        return ApiError::internal("a result without verdict and error");
    };
    let status = match (result.status, error.code.as_str()) {
        (ItemStatus::Invalid, _) => StatusCode::BAD_REQUEST,
        (ItemStatus::Throttled, _) | (_, "upstream_unavailable" | "identity_unavailable") => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    ApiError {
        cause: error.cause.clone(),
        retry_after_seconds: error.retry_after_seconds,
        ..ApiError::new(status, error.code.clone(), error.detail.clone())
    }
}

impl From<UnusableRequest> for ApiError {
    fn from(error: UnusableRequest) -> Self {
        let status = match error {
            UnusableRequest::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.code(), error.to_string())
    }
}
