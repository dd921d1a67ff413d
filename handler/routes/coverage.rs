//! `coverage` and `coverage_workbook`: the newest report, a file of it, a new one, and
//! the AI column of saved workbooks.

use std::sync::Arc;

use axum::{body::Body, extract::State, http::Response};
use functions::coverage::Summary;

use super::{
    RouteState, Segment,
    report::{self, TIMER},
    timer::{TimerOutcome, TimerState},
};
use crate::{
    server::{ApiError, Query, problem::Problem, query::NoParameters},
    services::workbook::WorkbookKeeper,
};

/// The totals of the newest coverage report
///
/// Which subscriptions have Defender for AI, where AI accounts run without it, and the
/// worst changes. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/coverage",
    operation_id = "GetCoverage",
    tag = "Coverage",
    responses(
        (status = 200, description = "The totals", body = Summary),
        (status = 404, description = "There is no report yet", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Storage cannot be read until an operator fixes it", body = Problem, content_type = "application/problem+json"),
        ApiError,
    ),
)]
pub(crate) async fn newest(
    State(context): State<RouteState>,
    _: Query<NoParameters>,
) -> Result<Response<Body>, ApiError> {
    report::newest(&*context.services.coverage).await
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
        (status = 502, description = "Storage cannot be read until an operator fixes it", body = Problem, content_type = "application/problem+json"),
        ApiError,
    ),
)]
pub(crate) async fn file(
    State(context): State<RouteState>,
    segment: Segment,
    _: Query<NoParameters>,
) -> Result<Response<Body>, ApiError> {
    report::file(&*context.services.coverage, &segment.text()).await
}

/// Runs the coverage report now
///
/// Compares it with the newest one, writes it into the history, and answers its totals.
/// Takes up to three and a half minutes. Needs the role `Reports.Run`.
#[utoipa::path(
    post,
    path = "/api/coverage",
    operation_id = "RunCoverage",
    tag = "Coverage",
    responses(
        (status = 200, description = "The totals of the new report; `complete` says whether everything could be read", body = Summary),
        (status = 409, description = "A run is in progress in this process", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry may help"))),
        (status = 404, description = "The report is turned off, or was written and has expired since", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Nothing could be read, or storage refuses", body = Problem, content_type = "application/problem+json"),
        ApiError,
    ),
)]
pub(crate) async fn run_now(
    State(context): State<RouteState>,
    _: Query<NoParameters>,
) -> Result<Response<Body>, ApiError> {
    report::run_now(context.services.coverage.clone()).await
}

/// Inspects the saved Coverage workbooks, and repairs them where the settings say so.
///
/// # Errors
/// Failures of storage; the invocation fails, so that the host counts it.
pub(crate) async fn inspect_workbooks(
    service: Arc<WorkbookKeeper>,
) -> Result<TimerOutcome, ApiError> {
    let inspection = service.inspect(TIMER.reading).await?;
    let mut lines = Vec::new();
    for copy in &inspection.copies {
        let drift: Vec<&str> = copy.drift.iter().map(|drift| drift.as_str()).collect();
        let repaired = if copy.repaired { ", repaired" } else { "" };
        let problem = match copy.problem.as_str() {
            "" => String::new(),
            problem => format!(": {problem}"),
        };
        lines.push(format!(
            "{} {}{repaired}{problem}",
            copy.id,
            drift.join(" ")
        ));
    }
    let state = if inspection.copies.iter().any(|copy| copy.needs_work()) {
        TimerState::NeedsWork
    } else if inspection.reasons.is_empty() {
        TimerState::Complete
    } else {
        TimerState::Incomplete
    };
    let outcome = TimerOutcome {
        lines,
        location: None,
        state,
    };
    Ok(outcome.with_reasons(&inspection.reasons))
}
