//! `health`: liveness for everyone, and the checks of `doctor` for callers who may run
//! reports.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use functions::health::Health;
use utoipa::IntoParams;

use super::RouteState;
use crate::{
    server::{ApiError, FromQuery, ProblemCode, Query, QueryPairs, Role, json},
    services::now,
};

/// The query parameters of a health check.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HealthQuery {
    /// true for the checks of the command doctor; false by default.
    deep: Option<bool>,
}

impl FromQuery for HealthQuery {
    const NAMES: &'static [&'static str] = &["deep"];

    fn from_query(pairs: &QueryPairs) -> Result<Self, ApiError> {
        let deep = match pairs.get("deep") {
            None => None,
            Some("false") => Some(false),
            Some("true") => Some(true),
            Some(_) => {
                let detail = "deep: `true` and `false` are allowed";
                let status = StatusCode::BAD_REQUEST;
                return Err(ApiError::new(status, ProblemCode::InvalidParameter, detail));
            }
        };
        Ok(Self { deep })
    }
}

/// Health of the service and of what it needs
///
/// Without parameters anyone may ask. `deep=true` needs the role `Reports.Run`: it
/// looks at identity, tokens, every API and storage, at most once a minute.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "GetHealth",
    tag = "Health",
    params(HealthQuery),
    responses(
        (status = 200, description = "The service answers; with deep=true with its checks, whose worst is `status`", body = Health),
        ApiError,
    ),
)]
pub(crate) async fn health(
    State(context): State<RouteState>,
    Query(query): Query<HealthQuery>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let health = if query.deep == Some(true) {
        let caller = context.gate.identify(&headers).await?;
        caller.require(Role::ReportsRun)?;
        let found = context.services.doctor.examine_lately().await;
        found.map_err(|_| ApiError::internal("the checks panicked"))?
    } else {
        Health::new(env!("CARGO_PKG_VERSION"), now(), Vec::new())
    };
    let mut response = json(StatusCode::OK, &health)?;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}
