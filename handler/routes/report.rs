//! Routes that every report has: its newest run, a file of it, and a new run.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use bytes::Bytes;
use functions::report::run::{MANIFEST, Manifest, Slot, Timeliness};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::timer::{TimerOutcome, TimerState};
use crate::{
    invocation,
    server::{ApiError, ProblemCode, Role, TimerInfo, answer::PAGE_POLICY, json_bytes},
    services::reports::{self, History, Published, Report, RunBudget, RunError},
};

/// File that a request without a name gets.
const SUMMARY: &str = "summary.json";

/// A call has 230 seconds until Azure's front end gives up.
const CALL: RunBudget = RunBudget {
    reading: Duration::from_secs(175),
    patience: Duration::ZERO,
};

/// The time of a call, with what storage needs.
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

/// The summary of the newest run.
///
/// # Errors
/// 404 `no_report` before the first run, 502 and 503 when storage fails.
pub(super) async fn newest<R: Report>(report: &R) -> Result<Response<Body>, ApiError> {
    file(report, SUMMARY).await
}

/// A file of the newest run.
///
/// # Errors
/// As [`newest`]; 404 `no_such_file`.
pub(super) async fn file<R: Report>(service: &R, name: &str) -> Result<Response<Body>, ApiError> {
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

/// Runs the report now and answers its summary.
///
/// # Errors
/// 409 `run_in_progress`, 502 and 503 when Azure or storage fail.
pub(super) async fn run_now<R: Report>(service: Arc<R>) -> Result<Response<Body>, ApiError> {
    // It runs to its end even when the caller goes away: half a run helps no one.
    let slot = Slot::of_timer(None, Timeliness::OnTime, OffsetDateTime::now_utc());
    let work = invocation::carried({
        let service = Arc::clone(&service);
        async move { reports::run(&*service, R::Request::default(), &slot, CALL).await }
    });
    let run = timeout(CALL_TIME, tokio::spawn(work)).await.map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ProblemCode::DeadlineExceeded,
            "storage did not accept the report in time; the run continues, ask for the report in a minute",
        )
    })?;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let (published, _) = run?;
    let (manifest, history) = (published.manifest(), &service.runs().history);
    let summary = manifest.file(SUMMARY).ok_or_else(|| no_report(history))?;
    let bytes = history.file(manifest, summary).await?;
    Ok(json_bytes(bytes.ok_or_else(|| no_report(history))?))
}

/// Runs an occurrence of a report's timer, or the present time where a person started
/// it.
///
/// # Errors
/// Failures of storage, or nothing could be read; the invocation fails, so that the
/// host counts it.
pub(crate) async fn by_timer<R: Report>(
    service: Arc<R>,
    timer: Option<TimerInfo>,
) -> Result<TimerOutcome, ApiError> {
    let slot = slot_of(timer.as_ref());
    let location = service.runs().history.location();
    let work = invocation::carried({
        let slot = slot.clone();
        async move { reports::run(&*service, R::Request::default(), &slot, TIMER).await }
    });
    let run = tokio::spawn(work).await;
    let run = run.map_err(|error| ApiError::internal(error.to_string()))?;
    let outcome = |state, line: String| TimerOutcome::new(state, line);
    Ok(match run {
        Ok((Published::Written(manifest), _)) => {
            let (state, word) = match manifest.complete {
                true => (TimerState::Complete, "complete"),
                false => (TimerState::Incomplete, "NOT complete"),
            };
            outcome(state, format!("run {slot} is written, {word}"))
                .with_reasons(&manifest.reasons)
                .stored_in(format!("{location}/{}", manifest.folder))
        }
        Ok((Published::AlreadyThere(manifest), _)) => {
            outcome(TimerState::Complete, format!("run {slot} was already done"))
                .stored_in(format!("{location}/{}", manifest.folder))
        }
        Err(RunError::Running) => outcome(
            TimerState::Complete,
            format!("run {slot} was skipped: another one is in progress"),
        ),
        Err(error @ RunError::Off(_)) => outcome(TimerState::Off, error.to_string()),
        Err(error) => return Err(error.into()),
    })
}

fn no_report(history: &History) -> ApiError {
    let name = history.name();
    ApiError::new(
        StatusCode::NOT_FOUND,
        ProblemCode::NoReport,
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
        ProblemCode::NoSuchFile,
        format!("the report has the files {}, {MANIFEST}", names.join(", ")),
    )
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let detail = error.to_string();
        match error {
            RunError::Running => ApiError {
                retry_after_seconds: Some(30),
                ..ApiError::new(StatusCode::CONFLICT, ProblemCode::RunInProgress, detail)
            },
            RunError::Off(_) => {
                ApiError::new(StatusCode::NOT_FOUND, ProblemCode::ReportOff, detail)
            }
            RunError::Nothing(..) => ApiError::new(
                StatusCode::BAD_GATEWAY,
                ProblemCode::NothingReadable,
                detail,
            ),
            RunError::Storage(error) => error.into(),
        }
    }
}

/// The slot of a run by a timer.
fn slot_of(timer: Option<&TimerInfo>) -> Slot {
    let timeliness = match timer.is_some_and(|timer| timer.is_past_due) {
        true => Timeliness::PastDue,
        false => Timeliness::OnTime,
    };
    let next = timer.and_then(|timer| timer.next);
    Slot::of_timer(next, timeliness, OffsetDateTime::now_utc())
}
