//! `hash_lookup`: `GET /api/hashes/{hash}` and `POST /api/hashes`.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use functions::hashes::{
    HashResult, ItemStatus, LookupAnswer, Observable, StatAnswer, UnusableRequest, payload,
};
use percent_encoding::percent_decode_str;
use serde::{
    Deserialize,
    de::{
        DeserializeOwned,
        value::{Error as ValueError, StrDeserializer},
    },
};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{MAX_BODY_BYTES, json, json_bytes, parameters, read_body, text};
use crate::{
    auth::{Caller, Role},
    error::{ApiError, Problem, Problems},
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
    services: Arc<Services>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let hash = request
        .uri()
        .path()
        .get(PATH.len()..)
        .unwrap_or_default()
        .trim_start_matches('/');
    match *request.method() {
        Method::GET => {
            let asked = Asked::of(&request)?;
            match ready(&services, hash, asked) {
                Some(response) => Ok(response),
                // Boxed, so that a ready answer moves no future of kilobytes about.
                None => Box::pin(one(&services, hash, asked)).await,
            }
        }
        Method::POST if hash.is_empty() => {
            let asked = Asked::of(&request)?;
            Box::pin(list(&services, request, asked)).await
        }
        _ if hash.is_empty() => Err(ApiError::method_not_allowed("POST")),
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

/// A list of hashes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"hashes": ["97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe"]}))]
#[expect(dead_code, reason = "describes what functions::hashes::payload reads")]
pub(super) struct HashList {
    /// SHA-1 or SHA-256 hashes, at most 1,000 distinct ones.
    hashes: Vec<String>,
}

/// The lists that people write. The bodies of playbooks are recognised beside
/// them: incident, alert and entity triggers, `Entities - Get FileHashes`, STAT.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what functions::hashes::payload reads")]
pub(super) enum Hashes {
    /// In an object.
    Object(HashList),
    /// As they are.
    List(Vec<String>),
}

/// An advisory as it is.
#[derive(ToSchema)]
#[schema(pattern = r"^[^\u0000]*\S[^\u0000]*$")]
#[expect(dead_code, reason = "describes what functions::hashes::payload reads")]
pub(super) struct AnyText(String);

/// JSON for one hash.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    clippy::large_enum_variant,
    reason = "describes what `render` answers"
)]
pub(super) enum OneAnswer {
    /// By default.
    Json(HashResult),
    /// With `format=stat`.
    Stat(StatAnswer),
}

/// JSON for a list.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `render` answers")]
pub(super) enum ListAnswer {
    /// By default.
    Json(LookupAnswer),
    /// With `format=stat`.
    Stat(StatAnswer),
}

/// The query parameters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Asked` reads")]
struct Parameters {
    /// Evidence to add. Devices are named for callers with the role
    /// `Devices.Read` alone, and counted for others.
    #[param(style = Form, explode = false, inline)]
    include: Option<Vec<Source>>,
    /// What the answer looks like: JSON, the comment of an incident as HTML or
    /// Markdown, CSV, or what STAT's scoring module takes.
    #[param(inline)]
    format: Option<Format>,
}

/// A source of evidence: query parameter `include`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Source {
    Stats,
    Alerts,
    Devices,
    Indicators,
}

/// What an answer looks like: query parameter `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Format {
    Json,
    Markdown,
    Html,
    Csv,
    Stat,
}

/// What the query parameters ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    format: Format,
    include: Include,
}

impl Asked {
    /// Whether nothing but the verdict as JSON is asked for.
    fn is_plain(self) -> bool {
        self.format == Format::Json && self.include.is_empty()
    }

    fn of(request: &Request<Body>) -> Result<Self, ApiError> {
        let parameters = parameters(request, &["format", "include"])?;
        let bad = |code: &str, detail: &str| ApiError::new(StatusCode::BAD_REQUEST, code, detail);
        let format = parameters.get("format").map_or(Ok(Format::Json), |text| {
            word(text).ok_or_else(|| {
                bad(
                    "unknown_format",
                    "the query parameter format is one of json, markdown, html, csv, stat",
                )
            })
        })?;
        let sees_devices = request
            .extensions()
            .get::<Caller>()
            .is_some_and(|caller| caller.has(Role::DevicesRead));
        let mut include = Include::default();
        let listed = parameters.get("include").map(String::as_str);
        for name in listed.unwrap_or_default().split_terminator(',') {
            match word(name.trim()) {
                Some(Source::Stats) => include.stats = true,
                Some(Source::Alerts) => include.alerts = true,
                Some(Source::Indicators) => include.indicators = true,
                Some(Source::Devices) if sees_devices => include.devices = Some(Shown::Listed),
                Some(Source::Devices) => include.devices = Some(Shown::Counted),
                None => {
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

/// One of the words of an enumeration.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<ValueError>::new(text)).ok()
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
        Format::Html => Ok(inert(text("text/html; charset=utf-8", answer.to_html()))),
        Format::Csv => Ok(text("text/csv; charset=utf-8", answer.to_csv())),
    }
}

/// HTML that a browser shows without running or loading anything of it.
fn inert(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// What is asked for again and again, and needs no work; it writes no log line.
fn ready(services: &Services, hash: &str, asked: Asked) -> Option<Response<Body>> {
    let hash = hash.parse().ok().filter(|_| asked.is_plain())?;
    services.hashes.ready_json(hash).map(json_bytes)
}

/// Verdict on one file hash
///
/// Asks Microsoft Defender for Endpoint whether a file hash is Malicious,
/// Suspicious, Clean or Unknown. Clean means "no detection by Microsoft", not an
/// approval.
#[utoipa::path(
    get,
    path = "/api/hashes/{hash}",
    operation_id = "LookUpHash",
    tag = "Hashes",
    params(
        ("hash" = String, Path, description = "SHA-1 (40 hexadecimal digits) or SHA-256 (64)",
            pattern = "^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$", example = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe"),
        Parameters,
    ),
    responses(
        (status = 200, description = "The result, with a verdict", content(
            (OneAnswer = "application/json"), (String = "text/markdown"), (String = "text/html"), (String = "text/csv"))),
        Problems,
        (status = 502, description = "Defender cannot be asked until somebody mends it", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn one(
    services: &Services,
    hash: &str,
    asked: Asked,
) -> Result<Response<Body>, ApiError> {
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

/// Verdicts on the file hashes of a list, an incident or a text
///
/// Takes a list, the body of a Sentinel incident, alert or entity trigger, the
/// output of `Entities - Get FileHashes`, a STAT base-module body, or an advisory
/// as text. Every input gets a result in the order asked; `complete` says whether
/// all of them could be asked.
#[utoipa::path(
    post,
    path = "/api/hashes",
    operation_id = "LookUpHashes",
    tag = "Hashes",
    params(Parameters),
    request_body(description = "What holds the hashes; at most 1,000 distinct ones and 4 MiB", content(
        (Hashes = "application/json"), (AnyText = "text/plain"), (AnyText = "text/html"))),
    responses(
        (status = 200, description = "A result for each input; with `Retry-After` when some could not be asked yet",
            headers(("Retry-After" = u64, description = "Seconds until the missing ones are worth asking again")),
            content((ListAnswer = "application/json"), (String = "text/markdown"), (String = "text/html"), (String = "text/csv"))),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 1,000 distinct hashes, or a body above 4 MiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is compressed", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn list(
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
