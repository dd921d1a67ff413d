//! `coverage`, `coverage_report` and `coverage_workbook`: the newest report, a new
//! one, and the AI column of saved workbooks.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response},
};
use functions::coverage::Summary;

use super::report::{self, TIMER};
use crate::{
    error::{ApiError, Problem, Problems},
    host::{envelope::Invocation, reply::Reply},
    services::{coverage::Coverage, workbook::Workbooks},
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/coverage";

/// Answers a request to `/api/coverage`.
///
/// # Errors
/// As [`report::answer`].
pub async fn coverage(
    service: Arc<Coverage>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    report::answer(service, PATH, request).await
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
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn newest() {}

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
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn file() {}

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
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn run_now() {}

/// Works an occurrence of the timer.
///
/// # Errors
/// As [`report::by_timer`].
pub async fn coverage_report(
    service: Arc<Coverage>,
    invocation: Invocation,
) -> Result<Reply, ApiError> {
    report::by_timer(service, invocation).await
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
    let inspection = service.inspect(TIMER.reading).await?;
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
