//! `coverage`, `coverage_report` and `coverage_workbook`: the newest report, a new
//! one, and the AI column of saved workbooks.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use functions::{
    coverage::Summary,
    report::run::{MANIFEST, Manifest},
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{PAGE_POLICY, json_bytes, parameters};
use crate::{
    auth::Role,
    clients::storage::StorageError,
    error::{ApiError, Problem, Problems},
    host::{envelope::Invocation, reply::Reply},
    services::{
        coverage::{Coverage, RunError, RunTime},
        reports::{self, Published},
        workbook::Workbooks,
    },
    telemetry,
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/coverage";

/// File that a request without a name gets.
const SUMMARY: &str = "summary.json";

/// A call has 230 seconds until Azure's front end gives up.
const CALL: RunTime = RunTime {
    reading: Duration::from_secs(175),
    patience: Duration::ZERO,
};

/// The whole of a call, with what storage needs.
const CALL_TIME: Duration = Duration::from_secs(215);

/// A timer has the ten minutes of `host.json`.
pub const TIMER: RunTime = RunTime {
    reading: Duration::from_secs(420),
    patience: Duration::from_secs(60),
};

/// The role that a method needs.
pub fn role(method: &Method) -> Role {
    if method == Method::POST {
        Role::ReportsRun
    } else {
        Role::ReportsRead
    }
}

/// Answers a request to `/api/coverage`.
///
/// # Errors
/// 404 `no_report` before the first run, 404 `no_such_file`, 405, 409
/// `run_in_progress`, 502 and 503 when Azure or storage fail.
pub async fn coverage(
    service: Arc<Coverage>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    parameters(&request, &[])?;
    let path = request.uri().path();
    let name = path.strip_prefix(PATH).unwrap_or_default();
    let name = name.trim_matches('/').to_owned();
    match *request.method() {
        Method::GET | Method::HEAD if name.is_empty() => newest(&service).await,
        Method::GET | Method::HEAD => file(&service, &name).await,
        Method::POST if name.is_empty() => run_now(service).await,
        _ if name.is_empty() => Err(ApiError::method_not_allowed("GET, POST")),
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

/// The sums of the newest coverage report
///
/// Which subscriptions have the Defender plan for AI, where AI accounts run without
/// it, and the worst that changed. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/coverage",
    operation_id = "GetCoverage",
    tag = "Coverage",
    responses(
        (status = 200, description = "The sums", body = Summary),
        (status = 404, description = "There is no report yet", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Storage cannot be read until somebody mends it", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn newest(service: &Coverage) -> Result<Response<Body>, ApiError> {
    file(service, SUMMARY).await
}

/// A file of the newest coverage report
///
/// `manifest.json` lists them. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/coverage/{file}",
    operation_id = "GetCoverageFile",
    tag = "Coverage",
    params(("file" = String, Path, description = "Name of the file", pattern = "^[a-z]+(-[a-z]+)*\\.(csv|json|html)$", example = "coverage.csv")),
    responses(
        (status = 200, description = "The file", content((String = "text/csv"), (String = "text/html"), (serde_json::Value = "application/json"))),
        (status = 404, description = "There is no report yet, or no such file in it", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Storage cannot be read until somebody mends it", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn file(service: &Coverage, name: &str) -> Result<Response<Body>, ApiError> {
    let run = service.reports.newest().await.map_err(of_storage)?;
    let run = run.ok_or_else(no_report)?;
    if name.eq_ignore_ascii_case(MANIFEST) {
        let bytes = serde_json::to_vec_pretty(&run);
        return bytes
            .map(|bytes| json_bytes(bytes.into()))
            .map_err(|error| ApiError::internal(error.to_string()));
    }
    let found = run
        .files
        .iter()
        .find(|file| file.name.eq_ignore_ascii_case(name));
    let found = found.ok_or_else(|| no_such_file(&run))?;
    let bytes = service
        .reports
        .file(&run, found)
        .await
        .map_err(of_storage)?;
    let bytes = bytes.ok_or_else(no_report)?;
    let tag = format!("\"{}\"", found.sha256);
    Ok(answer(&found.content_type, &tag, bytes))
}

fn answer(content_type: &str, tag: &str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("application/octet-stream");
    let content_type = HeaderValue::from_str(content_type).unwrap_or(plain);
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in [
        ("content-security-policy", PAGE_POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Runs the coverage report now
///
/// Compares it with the newest one, writes it into the history, and answers its
/// sums. Takes up to three and a half minutes. Needs the role `Reports.Run`.
#[utoipa::path(
    post,
    path = "/api/coverage",
    operation_id = "RunCoverage",
    tag = "Coverage",
    responses(
        (status = 200, description = "The sums of the new report; `complete` says whether everything could be read", body = Summary),
        (status = 409, description = "A run is going on in this process", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry may help"))),
        (status = 404, description = "The report was written and has expired since", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Nothing could be read, or storage refuses", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn run_now(service: Arc<Coverage>) -> Result<Response<Body>, ApiError> {
    // It runs to its end even when the caller goes away: half a run helps nobody.
    let slot = reports::slot(None, OffsetDateTime::now_utc());
    let work = telemetry::carried({
        let service = Arc::clone(&service);
        async move { service.run(&slot, CALL).await }
    });
    let run = timeout(CALL_TIME, tokio::spawn(work)).await.map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "deadline_exceeded",
            "storage did not take the report in time; the run goes on, ask for the report in a minute",
        )
    })?;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let published = run.map_err(of_run)?;
    let manifest = published.manifest();
    let summary = manifest.file(SUMMARY).ok_or_else(no_report)?;
    let bytes = service
        .reports
        .file(manifest, summary)
        .await
        .map_err(of_storage)?;
    Ok(json_bytes(bytes.ok_or_else(no_report)?))
}

/// Works an occurrence of the timer.
///
/// # Errors
/// What makes the invocation fail, so that the host counts it: storage, or an
/// estate that cannot be read at all.
pub async fn coverage_report(
    service: Arc<Coverage>,
    invocation: Invocation,
) -> Result<Reply, ApiError> {
    let timer = invocation.timer("timer")?;
    let slot = reports::slot(Some(&timer), OffsetDateTime::now_utc());
    let work = telemetry::carried({
        let slot = slot.clone();
        async move { service.run(&slot, TIMER).await }
    });
    let run = tokio::spawn(work).await;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let line = match run {
        Ok(Published::Written(manifest)) => {
            let complete = if manifest.complete {
                "complete"
            } else {
                "NOT complete"
            };
            format!("run {slot} is written, {complete}")
        }
        Ok(Published::Before(_)) => format!("run {slot} was already done"),
        Err(RunError::Running) => format!("run {slot} was left out: another one is going on"),
        Err(error) => return Err(of_run(error)),
    };
    Ok(Reply::done().log(&line))
}

/// Looks at the saved Coverage workbooks.
///
/// # Errors
/// What makes the invocation fail, so that the host counts it: storage.
pub async fn coverage_workbook(
    service: Arc<Workbooks>,
    invocation: Invocation,
) -> Result<Reply, ApiError> {
    invocation.timer("timer")?;
    let inspection = service.inspect(TIMER.reading).await.map_err(of_storage)?;
    let mut reply = Reply::done();
    for copy in &inspection.copies {
        let drift: Vec<&str> = copy.drift.iter().map(|drift| drift.as_str()).collect();
        let repaired = if copy.repaired { ", repaired" } else { "" };
        let problem = if copy.problem.is_empty() {
            String::new()
        } else {
            format!(": {}", copy.problem)
        };
        reply = reply.log(&format!(
            "{} {}{repaired}{problem}",
            copy.id,
            drift.join(" ")
        ));
    }
    for reason in &inspection.reasons {
        reply = reply.log(&format!("NOT complete: {reason}"));
    }
    Ok(reply)
}

fn no_report() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_report",
        "there is no coverage report yet, or the newest one has expired: POST /api/coverage makes one, and so does the timer of `COVERAGE_SCHEDULE`",
    )
}

fn no_such_file(run: &Manifest) -> ApiError {
    let names: Vec<&str> = run.files.iter().map(|file| file.name.as_str()).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_such_file",
        format!("the report has the files {}, {MANIFEST}", names.join(", ")),
    )
}

fn of_storage(error: StorageError) -> ApiError {
    let status = match error.code {
        "storage_unavailable" | "identity_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    ApiError {
        cause: error.cause,
        ..ApiError::new(status, error.code, error.detail)
    }
}

fn of_run(error: RunError) -> ApiError {
    let detail = error.to_string();
    match error {
        RunError::Running => ApiError {
            retry_after_seconds: Some(30),
            ..ApiError::new(StatusCode::CONFLICT, "run_in_progress", detail)
        },
        RunError::Nothing(_) => ApiError::new(StatusCode::BAD_GATEWAY, "nothing_readable", detail),
        RunError::Storage(error) => of_storage(error),
    }
}
