//! What every report answers: its newest run, a file of it, and a new run.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use functions::report::run::{MANIFEST, Manifest};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{PAGE_POLICY, json_bytes, parameters};
use crate::{
    auth::Role,
    error::ApiError,
    host::{envelope::Invocation, reply::Reply},
    services::reports::{self, History, Published, Report, RunBudget, RunError},
    telemetry,
};

/// File that a request without a name gets.
const SUMMARY: &str = "summary.json";

/// A call has 230 seconds until Azure's front end gives up.
const CALL: RunBudget = RunBudget {
    reading: Duration::from_secs(175),
    patience: Duration::ZERO,
};

/// The whole of a call, with what storage needs.
const CALL_TIME: Duration = Duration::from_secs(215);

/// A timer has the ten minutes of `host.json`.
pub const TIMER: RunBudget = RunBudget {
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

/// Answers a request to the path of a report.
///
/// # Errors
/// 404 `no_report` before the first run, 404 `no_such_file`, 405, 409
/// `run_in_progress`, 502 and 503 when Azure or storage fail.
pub async fn answer<R: Report>(
    service: Arc<R>,
    path: &str,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    parameters(&request, &[])?;
    let name = request.uri().path().strip_prefix(path).unwrap_or_default();
    let name = name.trim_matches('/').to_owned();
    match *request.method() {
        Method::GET | Method::HEAD if name.is_empty() => file(&*service, SUMMARY).await,
        Method::GET | Method::HEAD => file(&*service, &name).await,
        Method::POST if name.is_empty() => run_now(service).await,
        _ if name.is_empty() => Err(ApiError::method_not_allowed("GET, POST")),
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

async fn file<R: Report>(service: &R, name: &str) -> Result<Response<Body>, ApiError> {
    let history = &service.runs().history;
    let run = history.newest().await?;
    let run = run.ok_or_else(|| no_report(history))?;
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
    let bytes = history.file(&run, found).await?;
    let bytes = bytes.ok_or_else(|| no_report(history))?;
    let tag = format!("\"{}\"", found.sha256);
    Ok(of_file(&found.content_type, &tag, bytes))
}

fn of_file(content_type: &str, tag: &str, bytes: Bytes) -> Response<Body> {
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

async fn run_now<R: Report>(service: Arc<R>) -> Result<Response<Body>, ApiError> {
    // It runs to its end even when the caller goes away: half a run helps nobody.
    let slot = reports::slot(None, OffsetDateTime::now_utc());
    let work = telemetry::carried({
        let service = Arc::clone(&service);
        async move { reports::run(&*service, R::Request::default(), &slot, CALL).await }
    });
    let run = timeout(CALL_TIME, tokio::spawn(work)).await.map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "deadline_exceeded",
            "storage did not take the report in time; the run goes on, ask for the report in a minute",
        )
    })?;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let (published, _) = run.map_err(of_run)?;
    let (manifest, history) = (published.manifest(), &service.runs().history);
    let summary = manifest.file(SUMMARY).ok_or_else(|| no_report(history))?;
    let bytes = history.file(manifest, summary).await?;
    Ok(json_bytes(bytes.ok_or_else(|| no_report(history))?))
}

/// Works an occurrence of a report's timer.
///
/// # Errors
/// What makes the invocation fail, so that the host counts it: storage, or that
/// nothing can be read at all.
pub async fn by_timer<R: Report>(
    service: Arc<R>,
    invocation: Invocation,
) -> Result<Reply, ApiError> {
    let timer = invocation.timer("timer")?;
    let slot = reports::slot(Some(&timer), OffsetDateTime::now_utc());
    let work = telemetry::carried({
        let slot = slot.clone();
        async move { reports::run(&*service, R::Request::default(), &slot, TIMER).await }
    });
    let run = tokio::spawn(work).await;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let line = match run {
        Ok((Published::Written(manifest), _)) => {
            let complete = if manifest.complete {
                "complete"
            } else {
                "NOT complete"
            };
            format!("run {slot} is written, {complete}")
        }
        Ok((Published::AlreadyThere(_), _)) => format!("run {slot} was already done"),
        Err(RunError::Running) => format!("run {slot} was left out: another one is going on"),
        Err(error @ RunError::Off(_)) => error.to_string(),
        Err(error) => return Err(of_run(error)),
    };
    Ok(Reply::done().log(&line))
}

fn no_report(history: &History) -> ApiError {
    let name = history.name();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_report",
        format!(
            "there is no {name} report yet, or the newest one has expired: POST /api/{name} makes one, and so does the timer of `{}_SCHEDULE`",
            name.to_uppercase()
        ),
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

fn of_run(error: RunError) -> ApiError {
    let detail = error.to_string();
    match error {
        RunError::Running => ApiError {
            retry_after_seconds: Some(30),
            ..ApiError::new(StatusCode::CONFLICT, "run_in_progress", detail)
        },
        RunError::Off(_) => ApiError::new(StatusCode::NOT_FOUND, "report_off", detail),
        RunError::Nothing(..) => ApiError::new(StatusCode::BAD_GATEWAY, "nothing_readable", detail),
        RunError::Storage(error) => error.into(),
    }
}
