//! A bearer token and its claims.

use std::fmt;

use azure_core::credentials::Secret;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The claims of a token, unverified: only for messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// When it was issued, in seconds since 1970.
    pub iat: Option<i64>,
    /// When it expires, in seconds since 1970.
    pub exp: Option<i64>,
    /// Application roles in it.
    pub roles: Vec<String>,
    /// Delegated permissions in it; an application's token has none.
    pub scp: Option<String>,
    /// Object id of the principal, to which roles are granted.
    pub oid: Option<String>,
    /// Its tenant.
    pub tid: Option<String>,
}

/// A token for one audience. Its `Debug` shows the claims, not the token.
pub struct Token {
    secret: Secret,
    /// Its claims.
    pub claims: Claims,
}

impl Token {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            claims: read_claims(secret.secret()),
            secret,
        }
    }

    /// The value of the `Authorization` header, marked as sensitive.
    pub fn authorization(&self) -> Option<reqwest::header::HeaderValue> {
        let mut value =
            reqwest::header::HeaderValue::from_str(&format!("Bearer {}", self.secret.secret()))
                .ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The token itself, for clients that make the header themselves.
    pub(crate) fn secret(&self) -> &str {
        self.secret.secret()
    }

    /// When it was issued, RFC 3339; `unknown` when it does not say.
    pub fn issued(&self) -> String {
        instant(self.claims.iat)
    }

    /// When it expires, RFC 3339; `unknown` when it does not say.
    pub fn expires(&self) -> String {
        instant(self.claims.exp)
    }
}

fn instant(seconds: Option<i64>) -> String {
    let instant = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    instant
        .and_then(|instant| instant.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unknown time".to_owned())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

fn read_claims(token: &str) -> Claims {
    let payload = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .unwrap_or_default()
}
