//! `vdi`: the newest report on virtual desktops, a file of it, and a new one.

use axum::{body::Body, extract::State, http::Response};
use functions::vdi::Summary;

use super::{RouteState, Segment, report};
use crate::server::{ApiError, Query, problem::Problem, query::NoParameters};

/// The totals and findings of the newest report on virtual desktops
///
/// A number that could not be read is null. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/vdi",
    operation_id = "GetVdi",
    tag = "VDI",
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
    report::newest(&*context.services.vdi).await
}

/// A file of the newest report on virtual desktops
///
/// `manifest.json` lists them. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/vdi/{file}",
    operation_id = "GetVdiFile",
    tag = "VDI",
    params(("file" = String, Path, description = "Name of the file", pattern = "^[a-z]+(-[a-z]+)*\\.(csv|json|html)$", example = "findings.csv")),
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
    report::file(&*context.services.vdi, &segment.text()).await
}

/// Runs the report on virtual desktops now
///
/// Writes it into the history and answers its totals and findings. Takes up to three
/// and a half minutes. Needs the role `Reports.Run`.
#[utoipa::path(
    post,
    path = "/api/vdi",
    operation_id = "RunVdi",
    tag = "VDI",
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
    report::run_now(context.services.vdi.clone()).await
}
