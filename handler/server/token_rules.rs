//! The rules for accepted tokens: issuers, audiences and signing keys as a value, so
//! that another issuer is another value.
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/claims-validation>

use std::{collections::HashSet, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::signing_keys::{KeyError, SigningKeys};
use crate::outbound::HttpClient;

/// How far the clocks of the issuer and of this machine may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 300;

/// The rules for the tokens of one issuer.
#[derive(Debug)]
pub struct TokenRules {
    /// Accepted values of `iss`.
    issuers: Vec<String>,
    /// Accepted values of `aud`, without a slash at the end.
    audiences: HashSet<String>,
    /// The tenant that `tid` has to name; `None` where tokens name none.
    tenant: Option<String>,
    keys: SigningKeys,
}

/// The claims that are read. The names of the claims differ between the two token
/// versions of Entra.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// One text: a list of issuers is refused, whatever it has.
    iss: String,
    #[serde(default)]
    tid: String,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    pub(super) oid: Option<String>,
    #[serde(default, alias = "appid")]
    pub(super) azp: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) roles: HashSet<String>,
}

/// The reason why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// The caller needs another token; the text is for the caller.
    Refused(&'static str),
    /// The signing keys cannot be read; a retry may help.
    NoKeys(KeyError),
}

impl TokenRules {
    /// The rules for tokens of these issuers, for one of `audiences`, of `tenant` if
    /// tokens name one, signed with `keys`.
    pub(super) fn new(
        issuers: Vec<String>,
        audiences: &[String],
        tenant: Option<String>,
        keys: SigningKeys,
    ) -> Self {
        Self {
            issuers,
            audiences: audiences.iter().map(|one| plain(one).to_owned()).collect(),
            tenant,
            keys,
        }
    }

    /// The rules for tokens of an Entra tenant for one of `audiences`, issued by the
    /// authority at `login_url`, in both token versions.
    pub fn entra(
        tenant: &str,
        audiences: &[String],
        login_url: &Url,
        http: Arc<HttpClient>,
    ) -> Self {
        let tenant = tenant.to_ascii_lowercase();
        let authority = login_url.as_str().trim_end_matches('/');
        let mut metadata = login_url.clone();
        if let Ok(mut path) = metadata.path_segments_mut() {
            path.clear()
                .extend([&*tenant, "v2.0", ".well-known", "openid-configuration"]);
        }
        let issuers = vec![
            format!("{authority}/{tenant}/v2.0"),
            format!("https://sts.windows.net/{tenant}/"),
        ];
        let keys = SigningKeys::new(metadata, http);
        Self::new(issuers, audiences, Some(tenant), keys)
    }

    /// The claims of a token that these rules accept.
    pub(super) async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if names_extensions(token) {
            return Err(refused(
                "it has the header `crit`, and no extension is supported",
            ));
        }
        let header = decode_header(token).map_err(|_| refused("it is not a JSON web token"))?;
        if header.alg != Algorithm::RS256 {
            return Err(refused("it is not signed with RS256"));
        }
        let id = header.kid.ok_or_else(|| refused("it names no key"))?;
        let key = self.keys.get(&id).await.map_err(|error| match error {
            KeyError::Unknown => refused("its key does not belong to the issuer"),
            other => TokenError::NoKeys(other),
        })?;
        let claims = decode::<Claims>(token, &key, &self.validation())
            .map_err(|error| refused(reason(&error)))?
            .claims;
        self.check(claims)
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&self.issuers);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Compared below, without a slash at the end.
        validation.validate_aud = false;
        validation
    }

    fn check(&self, claims: Claims) -> Result<Claims, TokenError> {
        let audience = claims.aud.as_str().map(plain);
        let audience = audience.ok_or_else(|| refused("it is not for one audience"))?;
        if !self.audiences.contains(audience) {
            return Err(refused(
                "it is for another audience; request a token for the first value of `API_AUDIENCE`",
            ));
        }
        if !self.issuers.contains(&claims.iss) {
            return Err(refused("it was issued by another tenant or authority"));
        }
        let is_ours = |tenant: &String| claims.tid.eq_ignore_ascii_case(tenant);
        if !self.tenant.as_ref().is_none_or(is_ours) {
            return Err(refused("it is from another tenant"));
        }
        Ok(claims)
    }
}

/// Returns true if a token has the header `crit`: extensions that must be understood.
///
/// No extension is supported.
/// Source: <https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11>
fn names_extensions(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header = serde_json::from_slice::<Map<String, Value>>(&header);
    header.is_ok_and(|header| header.contains_key("crit"))
}

fn refused(why: &'static str) -> TokenError {
    TokenError::Refused(why)
}

/// An audience without a slash at the end.
fn plain(audience: &str) -> &str {
    audience.trim_end_matches('/')
}

fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::TimeLimits;
    use serde_json::json;

    /// Rules for an issuer whose tokens name no tenant.
    fn other_issuer() -> TokenRules {
        let http = Arc::new(HttpClient::new(TimeLimits::default()));
        let metadata = "https://login.example/.well-known/openid-configuration";
        TokenRules::new(
            vec!["https://issuer.example".to_owned()],
            &["app-id/".to_owned()],
            None,
            SigningKeys::new(metadata.parse().unwrap(), http),
        )
    }

    #[test]
    fn another_issuer_is_another_value() {
        let rules = other_issuer();
        let accepts = |issuer: Value, audience: Value| {
            let claims = json!({ "iss": issuer, "aud": audience });
            serde_json::from_value::<Claims>(claims).is_ok_and(|claims| rules.check(claims).is_ok())
        };
        let own = json!("https://issuer.example");
        assert!(accepts(own.clone(), json!("app-id")));
        assert!(!accepts(own.clone(), json!("another")));
        assert!(!accepts(own.clone(), json!(["app-id"])));
        assert!(!accepts(json!("https://other.example"), json!("app-id")));
        assert!(!accepts(json!([own]), json!("app-id")));
        let issuers = rules.validation().iss.unwrap();
        assert!(issuers.contains("https://issuer.example") && issuers.len() == 1);
    }
}
