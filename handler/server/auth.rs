//! Who calls the HTTP API, and what they may do.
//!
//! With `API_AUTH=entra` a caller needs a bearer token of our tenant, for our
//! audience, with the application role of the function. Both token versions of
//! Entra are read. Headers that App Service authentication would set are
//! ignored: without it anybody can send them.
//! Source: <https://learn.microsoft.com/entra/identity-platform/claims-validation>

mod keys;

use std::{collections::HashSet, fmt, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use url::Url;

use crate::{
    config::{ApiAuth, Config},
    error::ApiError,
    outbound::HttpClient,
};
use keys::{KeyError, SigningKeys};

/// Longest token that is read; real ones have two kilobytes.
const MAX_TOKEN_BYTES: usize = 16_384;

/// How far the clocks of Entra and of this machine may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 300;

/// An application role of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Look up hashes.
    HashesRead,
    /// See the names of devices, which an application sees across all groups.
    DevicesRead,
    /// Read the newest reports.
    ReportsRead,
    /// Run a report now, which asks Azure for everything.
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
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HashesRead => "Hashes.Read",
            Self::DevicesRead => "Devices.Read",
            Self::ReportsRead => "Reports.Read",
            Self::ReportsRun => "Reports.Run",
        }
    }
}

/// Who called, for the request that is being answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    roles: HashSet<String>,
}

impl Caller {
    /// Whether the caller holds a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(role.as_str())
    }
}

/// The rules of `API_AUTH=entra`.
#[derive(Debug)]
pub struct Entra {
    tenant: String,
    audiences: HashSet<String>,
    issuers: [String; 2],
    keys: SigningKeys,
}

/// The gate before every function that needs a role.
#[derive(Clone, Debug)]
pub enum Gate {
    /// A token with the role.
    Entra(Arc<Entra>),
    /// The host has checked a key, or nobody checks: there are no roles.
    Open,
}

impl Gate {
    /// The gate that the settings ask for. Costs nothing yet.
    pub fn new(config: &Config, http: Arc<HttpClient>) -> Self {
        match &config.api_auth {
            ApiAuth::Entra { tenant, audiences } => {
                Self::Entra(Entra::new(tenant, audiences, &config.login_url, http))
            }
            ApiAuth::Host | ApiAuth::Off => Self::Open,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    tid: String,
    #[serde(default)]
    aud: serde_json::Value,
    #[serde(default)]
    roles: HashSet<String>,
}

/// Why a caller is not let in. The text is for the caller; what exactly is
/// wrong with a signature is for the log alone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    NoToken(&'static str),
    BadToken(&'static str),
    NoRole(Role),
    NoKeys(KeyError),
}

impl Entra {
    /// The rules for tokens of `tenant` for one of `audiences`, issued by the
    /// authority at `login_url`.
    pub fn new(
        tenant: &str,
        audiences: &[String],
        login_url: &Url,
        http: Arc<HttpClient>,
    ) -> Arc<Self> {
        let tenant = tenant.to_ascii_lowercase();
        let authority = login_url.as_str().trim_end_matches('/');
        Arc::new(Self {
            audiences: audiences
                .iter()
                .map(|audience| plain(audience).to_owned())
                .collect(),
            issuers: [
                format!("{authority}/{tenant}/v2.0"),
                format!("https://sts.windows.net/{tenant}/"),
            ],
            keys: SigningKeys::new(login_url, &tenant, http),
            tenant,
        })
    }

    async fn admit(&self, headers: &HeaderMap, role: Role) -> Result<Caller, Refusal> {
        let token = bearer(headers)?;
        let header =
            decode_header(token).map_err(|_| Refusal::BadToken("it is no JSON web token"))?;
        if header.alg != Algorithm::RS256 {
            return Err(Refusal::BadToken("it is not signed with RS256"));
        }
        let id = header.kid.ok_or(Refusal::BadToken("it names no key"))?;
        let key = self.keys.get(&id).await.map_err(|error| match error {
            KeyError::Unknown => Refusal::BadToken("its key is none of the tenant's"),
            other => Refusal::NoKeys(other),
        })?;
        let claims = decode::<Claims>(token, &key, &self.validation())
            .map_err(|error| Refusal::BadToken(why(&error)))?
            .claims;
        self.check(claims, role)
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&self.issuers);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Compared below, without a trailing slash.
        validation.validate_aud = false;
        validation
    }

    fn check(&self, claims: Claims, role: Role) -> Result<Caller, Refusal> {
        let audience = claims
            .aud
            .as_str()
            .map(plain)
            .ok_or(Refusal::BadToken("it is not for one audience"))?;
        if !self.audiences.contains(audience) {
            return Err(Refusal::BadToken(
                "it is for another audience; ask for a token for the first value of `API_AUDIENCE`",
            ));
        }
        if !claims.tid.eq_ignore_ascii_case(&self.tenant) {
            return Err(Refusal::BadToken("it is of another tenant"));
        }
        let caller = Caller {
            roles: claims.roles,
        };
        if caller.has(role) {
            Ok(caller)
        } else {
            Err(Refusal::NoRole(role))
        }
    }
}

/// Lets a request with the role through, and tells it its [`Caller`].
///
/// # Errors
/// 401, 403, or 503 while the signing keys cannot be read, which a retry mends.
pub async fn require(gate: &Gate, role: Role, request: &mut Request<Body>) -> Result<(), ApiError> {
    if let Gate::Entra(entra) = gate {
        let caller = Box::pin(entra.admit(request.headers(), role)).await?;
        request.extensions_mut().insert(caller);
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or(Refusal::NoToken("the header `Authorization` is missing"))?;
    if values.next().is_some() {
        return Err(Refusal::NoToken("there are two headers `Authorization`"));
    }
    let value = value
        .to_str()
        .ok()
        .filter(|value| value.len() <= MAX_TOKEN_BYTES);
    let (scheme, token) = value
        .and_then(|value| value.split_once(' '))
        .unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::NoToken(
            "the header `Authorization` holds no bearer token",
        ));
    }
    Ok(token.trim())
}

/// An audience without a trailing slash.
fn plain(audience: &str) -> &str {
    audience.trim_end_matches('/')
}

fn why(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => {
            "it is not valid yet; check the clock of its issuer and of this service"
        }
        ErrorKind::InvalidIssuer => "it was issued by another tenant or authority",
        ErrorKind::MissingRequiredClaim(_) => "it lacks a required claim",
        _ => "its signature or form is not valid",
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let unauthorized = |code: &str, why: &str| {
            let detail = format!("a bearer token is required: {why}");
            Self {
                authenticate: true,
                ..Self::new(StatusCode::UNAUTHORIZED, code, detail)
            }
        };
        match refusal {
            Refusal::NoToken(why) => unauthorized("token_missing", why),
            Refusal::BadToken(why) => unauthorized("token_refused", why),
            Refusal::NoRole(role) => {
                let detail = format!(
                    "the token lacks the application role `{0}`: assign `{0}` of this API to the caller and get a new token (docs/permissions.md)",
                    role.as_str()
                );
                Self::new(StatusCode::FORBIDDEN, "missing_role", detail)
            }
            Refusal::NoKeys(error) => {
                let detail = "the signing keys of the tenant cannot be read just now, so no token can be checked; ask again later";
                Self {
                    cause: error.to_string(),
                    retry_after_seconds: Some(10),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", detail)
                }
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
