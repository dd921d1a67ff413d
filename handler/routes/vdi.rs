//! `vdi` and `vdi_report`: the hygiene report of virtual desktops.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response},
};
use functions::vdi::hygiene::Summary;

use super::report;
use crate::{
    error::{ApiError, Problem, Problems},
    host::{envelope::Invocation, reply::Reply},
    services::vdi::Vdi,
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/vdi";

/// Answers a request to `/api/vdi`.
///
/// # Errors
/// As [`report::answer`]; 404 `report_off` without `VDI_HOST_PATTERN`.
pub async fn vdi(service: Arc<Vdi>, request: Request<Body>) -> Result<Response<Body>, ApiError> {
    report::answer(service, PATH, request).await
}

/// Works an occurrence of the timer.
///
/// # Errors
/// As [`report::by_timer`].
pub async fn vdi_report(service: Arc<Vdi>, invocation: Invocation) -> Result<Reply, ApiError> {
    report::by_timer(service, invocation).await
}

/// The sums and findings of the newest report on virtual desktops
///
/// A number that could not be read is null. Needs the role `Reports.Read`.
#[utoipa::path(
    get,
    path = "/api/vdi",
    operation_id = "GetVdi",
    tag = "VDI",
    responses(
        (status = 200, description = "The sums and findings", body = Summary),
        (status = 404, description = "There is no report yet", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Storage cannot be read until somebody mends it", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn newest() {}

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
        (status = 502, description = "Storage cannot be read until somebody mends it", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn file() {}

/// Runs the report on virtual desktops now
///
/// Writes it into the history and answers its sums and findings. Takes up to three
/// and a half minutes. Needs the role `Reports.Run`.
#[utoipa::path(
    post,
    path = "/api/vdi",
    operation_id = "RunVdi",
    tag = "VDI",
    responses(
        (status = 200, description = "The sums of the new report; `complete` says whether everything could be read", body = Summary),
        (status = 409, description = "A run is going on in this process", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds until a retry may help"))),
        (status = 404, description = "VDI_HOST_PATTERN is not set", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Nothing could be read, or storage refuses", body = Problem, content_type = "application/problem+json"),
        Problems,
    ),
)]
#[expect(dead_code, reason = "describes what `report::answer` does")]
pub(super) fn run_now() {}
