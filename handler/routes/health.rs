//! `health`: liveness for everybody, and the checks of `doctor` for who may run
//! reports.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use functions::health::Health;

use super::{json, parameters};
use crate::{
    auth::{self, Gate, Role},
    config::ApiAuth,
    error::{ApiError, Problems},
    services::{doctor::Doctor, now},
};

/// Path of the function, as in its `function.json` with the host's prefix.
pub const PATH: &str = "/api/health";

/// Who may look deep, and what does it.
#[derive(Clone, Debug)]
pub struct Deep {
    /// The checks.
    pub doctor: Arc<Doctor>,
    /// Who may ask for them.
    pub gate: Gate,
    /// Whether the keys of the host are the gate, which nobody checks here.
    pub keys_alone: bool,
}

impl Deep {
    /// The checks behind the gate of the settings.
    pub fn new(doctor: Arc<Doctor>, gate: Gate, auth: &ApiAuth) -> Self {
        Self {
            doctor,
            gate,
            keys_alone: *auth == ApiAuth::Host,
        }
    }
}

/// Whether the service answers, and whether it has what it needs
///
/// Without parameters everybody may ask. `deep=true` needs the role `Reports.Run`: it
/// looks at identity, tokens, every API and storage, at most once a minute.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "GetHealth",
    tag = "Health",
    params(("deep" = Option<bool>, Query, description = "true for the checks of the command doctor; false by default")),
    responses(
        (status = 200, description = "The service answers; with deep=true with its checks, whose worst is `status`", body = Health),
        Problems,
    ),
)]
pub async fn health(deep: Deep, mut request: Request<Body>) -> Result<Response<Body>, ApiError> {
    let name = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    if !name.trim_matches('/').is_empty() {
        return Err(ApiError::not_found());
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(ApiError::method_not_allowed("GET"));
    }
    let parameters = parameters(&request, &["deep"])?;
    let mut response = match parameters.get("deep").map(String::as_str) {
        None | Some("false") => {
            let alive = Health::new(env!("CARGO_PKG_VERSION"), now(), Vec::new());
            json(StatusCode::OK, &alive)?
        }
        Some("true") => {
            admit(&deep, &mut request).await?;
            let found = deep.doctor.examine_lately().await;
            json(
                StatusCode::OK,
                &found.map_err(|_| ApiError::internal("the checks panicked"))?,
            )?
        }
        Some(_) => {
            let detail = "deep: `true` and `false` are allowed";
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_parameter",
                detail,
            ));
        }
    };
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

async fn admit(deep: &Deep, request: &mut Request<Body>) -> Result<(), ApiError> {
    if deep.keys_alone {
        let detail = "deep=true needs a token with the role `Reports.Run`, and with `API_AUTH=host` there are no tokens; run `doctor` with the identity instead";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "missing_role", detail));
    }
    auth::require(&deep.gate, Role::ReportsRun, request).await
}
