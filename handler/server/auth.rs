//! Who calls the HTTP API, and what they may do.
//!
//! With `API_AUTH=entra` a caller needs a bearer token of our tenant, for our
//! audience, with the application role of the function. Headers that App Service
//! authentication would set are ignored: without it anyone can send them.

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use strum::{AsRefStr, Display};

use super::{
    ApiError,
    token_rules::{Claims, TokenError, TokenRules},
};
use crate::{
    config::{ApiAuth, Config},
    outbound::HttpClient,
};

/// Longest token that is read; real ones have two kilobytes.
const MAX_TOKEN_BYTES: usize = 16_384;

/// An application role of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, AsRefStr, Display)]
pub enum Role {
    /// Look up hashes.
    #[strum(serialize = "Hashes.Read")]
    HashesRead,
    /// See the names of devices, which an application sees across all groups.
    #[strum(serialize = "Devices.Read")]
    DevicesRead,
    /// Read the newest reports.
    #[strum(serialize = "Reports.Read")]
    ReportsRead,
    /// Run a report now, which asks Azure for everything.
    #[strum(serialize = "Reports.Run")]
    ReportsRun,
}

impl Role {
    /// All of them, as the API's application registration has them.
    pub const ALL: [Self; 4] = [
        Self::HashesRead,
        Self::DevicesRead,
        Self::ReportsRead,
        Self::ReportsRun,
    ];

    /// Its value in a token.
    pub fn as_str(&self) -> &str {
        self.as_ref()
    }
}

/// Who calls, as the token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Object id of the person or the service principal.
    pub object_id: Option<String>,
    /// Client id of the application that the token was issued to.
    pub application_id: Option<String>,
    /// Display name as claimed; for people to read, never for decisions.
    pub name: Option<String>,
    roles: HashSet<String>,
    /// True if no token was required, so that roles are not required either.
    is_unchecked: bool,
}

impl Caller {
    /// Returns true if the token holds a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(role.as_str())
    }

    /// Lets a caller with the role through; without tokens (`API_AUTH` is `host` or
    /// `off`) everyone.
    ///
    /// # Errors
    /// 403 `missing_role`.
    pub fn require(&self, role: Role) -> Result<(), ApiError> {
        if self.is_unchecked || self.has(role) {
            return Ok(());
        }
        let detail = format!(
            "the token lacks the application role `{role}`: assign `{role}` of this API to the caller and get a new token (docs/permissions.md)"
        );
        Err(ApiError::new(StatusCode::FORBIDDEN, "missing_role", detail))
    }
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            object_id: claims.oid,
            application_id: claims.azp,
            name: claims.name,
            roles: claims.roles,
            is_unchecked: false,
        }
    }
}

/// How callers are identified.
#[derive(Clone, Debug)]
pub enum Gate {
    /// By a token that the rules accept.
    Token(Arc<TokenRules>),
    /// The host has checked a key, or no one checks: there are no roles.
    Open,
}

impl Gate {
    /// The gate that the settings ask for. Sends nothing yet.
    pub fn new(config: &Config, http: Arc<HttpClient>) -> Self {
        match &config.callers.auth {
            ApiAuth::Entra { tenant, audiences } => {
                let rules = TokenRules::entra(tenant, audiences, &config.callers.login_url, http);
                Self::Token(Arc::new(rules))
            }
            ApiAuth::Host | ApiAuth::Off => Self::Open,
        }
    }

    /// The caller that sent these headers.
    ///
    /// # Errors
    /// 401, or 503 while the signing keys cannot be read, where a retry helps.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match self {
            Self::Open => Ok(Caller {
                is_unchecked: true,
                ..Caller::default()
            }),
            Self::Token(rules) => {
                let claims = Box::pin(rules.verify(bearer(headers)?)).await?;
                Ok(claims.into())
            }
        }
    }

    /// Lets a request of a caller with the role through; the [`Caller`] is an
    /// extension of the request then.
    ///
    /// # Errors
    /// As [`Gate::identify`]; 403 without the role.
    pub(super) async fn admit(
        &self,
        role: Role,
        request: &mut Request<Body>,
    ) -> Result<(), ApiError> {
        // Without tokens there is no one to identify, and a request stays as it is.
        if matches!(self, Self::Open) {
            return Ok(());
        }
        let caller = self.identify(request.headers()).await?;
        caller.require(role)?;
        request.extensions_mut().insert(Arc::new(caller));
        Ok(())
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing = |why| unauthorized("token_missing", why);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| missing("the header `Authorization` is missing"))?;
    if values.next().is_some() {
        return Err(missing("there are two headers `Authorization`"));
    }
    let value = value
        .to_str()
        .ok()
        .filter(|value| value.len() <= MAX_TOKEN_BYTES);
    let (scheme, token) = value
        .and_then(|value| value.split_once(' '))
        .unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing("the header `Authorization` holds no bearer token"));
    }
    Ok(token.trim())
}

fn unauthorized(code: &str, why: &str) -> ApiError {
    let detail = format!("a bearer token is required: {why}");
    ApiError {
        authenticate: true,
        ..ApiError::new(StatusCode::UNAUTHORIZED, code, detail)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(why) => unauthorized("token_refused", why),
            TokenError::NoKeys(error) => {
                let detail = "the signing keys of the tenant cannot be read right now, so no token can be checked; try again later";
                Self {
                    cause: error.to_string(),
                    retry_after_seconds: Some(10),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", detail)
                }
            }
        }
    }
}
