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

use super::problem_code::ProblemCode;
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
    /// The check that takes the place of roles.
    check: Check,
}

/// The check of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Check {
    /// A token, whose roles count.
    #[default]
    Token,
    /// The host has checked a key, if the function has one.
    HostKey,
    /// None: the service is only on loopback.
    None,
}

impl Caller {
    fn checked_by(check: Check) -> Self {
        Self {
            check,
            ..Self::default()
        }
    }

    /// Returns true if the token holds a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(role.as_str())
    }

    /// Lets a caller with the role through, and every caller with `API_AUTH=off`. With
    /// `API_AUTH=host` there are no roles, and the function may have no key.
    ///
    /// # Errors
    /// 403 `missing_role`, or `no_roles` with `API_AUTH=host`.
    pub fn require(&self, role: Role) -> Result<(), ApiError> {
        if self.check == Check::None || self.has(role) {
            return Ok(());
        }
        if self.check == Check::HostKey {
            let detail = format!(
                "this needs a token with the role `{role}`, and with `API_AUTH=host` there are no tokens; use the command line with an identity instead"
            );
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                ProblemCode::NoRoles,
                detail,
            ));
        }
        let detail = format!(
            "the token lacks the application role `{role}`: assign `{role}` of this API to the caller and get a new token (docs/permissions.md)"
        );
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::MissingRole,
            detail,
        ))
    }
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            object_id: claims.oid,
            application_id: claims.azp,
            name: claims.name,
            roles: claims.roles,
            check: Check::Token,
        }
    }
}

/// How callers are identified.
#[derive(Clone, Debug)]
pub enum Gate {
    /// By a token that the rules accept.
    Token(Arc<TokenRules>),
    /// By the host, which checks a key of the function.
    HostKey,
    /// By no one.
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
            ApiAuth::Host => Self::HostKey,
            ApiAuth::Off => Self::Open,
        }
    }

    /// The caller that sent these headers.
    ///
    /// # Errors
    /// 401, or 503 while the signing keys cannot be read, where a retry helps.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match self {
            Self::Open => Ok(Caller::checked_by(Check::None)),
            Self::HostKey => Ok(Caller::checked_by(Check::HostKey)),
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
        if !matches!(self, Self::Token(_)) {
            return Ok(());
        }
        let caller = self.identify(request.headers()).await?;
        caller.require(role)?;
        request.extensions_mut().insert(Arc::new(caller));
        Ok(())
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing = |why| unauthorized(ProblemCode::TokenMissing, why);
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

fn unauthorized(code: ProblemCode, why: &str) -> ApiError {
    let detail = format!("a bearer token is required: {why}");
    ApiError {
        authenticate: true,
        ..ApiError::new(StatusCode::UNAUTHORIZED, code, detail)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(why) => unauthorized(ProblemCode::TokenRefused, why),
            TokenError::NoKeys(error) => {
                let detail = "the signing keys of the tenant cannot be read right now, so no token can be checked; try again later";
                Self {
                    cause: error.to_string(),
                    retry_after_seconds: Some(10),
                    ..Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        ProblemCode::KeysUnavailable,
                        detail,
                    )
                }
            }
        }
    }
}
