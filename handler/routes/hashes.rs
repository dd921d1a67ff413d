//! `hash_lookup`: `GET /api/hashes/{hash}` and `POST /api/hashes`.

mod description;
mod query;

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use functions::hashes::{
    HashResult, Inputs, ItemStatus, LookupAnswer, Observable, UnusableRequest, payload,
};
use tokio::time::Instant;

use super::{RouteState, last_segment};
use crate::{
    outbound::Code,
    server::{
        ApiError, Caller, MAX_BODY_BYTES, ProblemCode, Query, json, json_bytes, problem::Problem,
        read_body, text,
    },
    services::{Services, hashes::Include},
};
use description::{ListAnswer, LookupBody, OneAnswer, PastedText};
use query::{Format, LookupQuery};

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
        LookupQuery,
    ),
    responses(
        (status = 200, description = "The result, with a verdict", content(
            (OneAnswer = "application/json"), (String = "text/markdown"), (String = "text/html"), (String = "text/csv"))),
        ApiError,
        (status = 502, description = "Defender does not answer until an operator fixes it", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn look_up_hash(
    State(context): State<RouteState>,
    Query(query): Query<LookupQuery>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let hash = last_segment(request.uri());
    // A verdict that is asked for again needs no work and writes no log line.
    if query.is_plain()
        && let Ok(hash) = hash.parse()
        && let Some(ready) = context.services.hashes.ready_json(hash)
    {
        return Ok(json_bytes(ready));
    }
    // Boxed, so that a ready answer moves no future of kilobytes.
    let caller = request.extensions().get::<Arc<Caller>>();
    Box::pin(one(
        &context.services,
        &hash,
        query.include(caller.map(|caller| &**caller)),
        query.format(),
    ))
    .await
}

/// Verdicts on the file hashes of a list, an incident or a text
///
/// Takes a list, the body of a Sentinel incident, alert or entity trigger, the
/// output of `Entities - Get FileHashes`, a STAT base-module body, or an advisory
/// as text. Every input gets a result in the order asked; `complete` says whether
/// all of them could be checked.
#[utoipa::path(
    post,
    path = "/api/hashes",
    operation_id = "LookUpHashes",
    tag = "Hashes",
    params(LookupQuery),
    request_body(description = "What holds the hashes; at most 1,000 distinct ones and 4 MiB", content(
        (LookupBody = "application/json"), (PastedText = "text/plain"), (PastedText = "text/html"))),
    responses(
        (status = 200, description = "A result for each input; with `Retry-After` when some could not be checked yet",
            headers(("Retry-After" = u64, description = "Seconds until the missing ones are worth asking again")),
            content((ListAnswer = "application/json"), (String = "text/markdown"), (String = "text/html"), (String = "text/csv"))),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 1,000 distinct hashes, or a body above 4 MiB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is compressed", body = Problem, content_type = "application/problem+json"),
        ApiError,
    ),
)]
pub(crate) async fn look_up_hashes(
    State(context): State<RouteState>,
    Query(query): Query<LookupQuery>,
    caller: Option<Extension<Arc<Caller>>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let services = &context.services;
    let deadline = services.hashes.deadline();
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    refuse_compressed(&request)?;
    let body = read_body(request, MAX_BODY_BYTES, deadline).await?;
    // Large bodies take a while: other requests continue meanwhile.
    let parsed = tokio::task::spawn_blocking(move || payload::parse(&content_type, &body)).await;
    let inputs = parsed.map_err(|error| ApiError::internal(error.to_string()))??;
    let include = query.include(caller.as_deref().map(|caller| &**caller));
    let answer = look_up(services, &inputs, include, deadline).await;
    let mut response = render(&answer, query.format())?;
    if let Some(seconds) = answer.retry_after_seconds().filter(|_| !answer.complete) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

async fn one(
    services: &Services,
    hash: &str,
    include: Include,
    format: Format,
) -> Result<Response<Body>, ApiError> {
    let input = Inputs::from(vec![Observable::parse(hash)]);
    let deadline = services.hashes.deadline();
    let answer = look_up(services, &input, include, deadline).await;
    let [result] = answer.results.as_slice() else {
        return Err(ApiError::internal("one input gave no single result"));
    };
    match result.status {
        ItemStatus::Ok if format == Format::Json => json(StatusCode::OK, result),
        ItemStatus::Ok => render(&answer, format),
        _ => Err(unanswered(result)),
    }
}

async fn look_up(
    services: &Services,
    inputs: &Inputs,
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

fn refuse_compressed(request: &Request<Body>) -> Result<(), ApiError> {
    let encoding = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    match encoding.unwrap_or("identity") {
        "identity" | "" => Ok(()),
        _ => {
            let detail = "the body is compressed; send it uncompressed";
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ProblemCode::CompressedBody,
                detail,
            ))
        }
    }
}

/// A single look-up without a verdict is a problem: 400 when the caller can
/// correct it, 503 when a retry helps, 502 when the operator has to act.
fn unanswered(result: &HashResult) -> ApiError {
    let Some(error) = &result.error else {
        return ApiError::internal("a result without verdict and error");
    };
    let status = match (result.status, error.code.parse()) {
        (ItemStatus::Invalid, _) => StatusCode::BAD_REQUEST,
        (ItemStatus::Throttled, _)
        | (_, Ok(Code::UpstreamUnavailable | Code::IdentityUnavailable)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        (_, Ok(Code::Internal)) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_GATEWAY,
    };
    ApiError {
        cause: error.cause.clone(),
        retry_after_seconds: error.retry_after_seconds,
        ..ApiError::new(
            status,
            ProblemCode::Item(error.code.clone().into()),
            error.detail.clone(),
        )
    }
}

impl From<UnusableRequest> for ApiError {
    fn from(error: UnusableRequest) -> Self {
        let status = match error {
            UnusableRequest::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(
            status,
            ProblemCode::Item(error.code().into()),
            error.to_string(),
        )
    }
}
