//! Entra ID as seen by the callers of the API: `OpenID` metadata, signing keys,
//! and tokens signed with them.
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc>

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State as Extract},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{API_AUDIENCE, Call, State, TENANT_ID, identity::seconds, lock};

/// The key with which tokens are currently signed.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pair: RsaKeyPair,
}

impl SigningKey {
    /// A new key with this number in its id; `None` when none can be made.
    pub(crate) fn generate(number: usize) -> Option<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
        Some(Self {
            id: format!("key-{number}"),
            pair,
        })
    }

    /// Its public half, as the key set has it.
    pub(crate) fn to_jwk(&self) -> Value {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = self.pair.public_key();
        let modulus = part(public.modulus().big_endian_without_leading_zero());
        let exponent = part(public.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "kid": self.id, "n": modulus, "e": exponent })
    }

    /// A token with this header and these claims.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // Fails only for a buffer of the wrong length.
        let _ = self.pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message.as_bytes(),
            &mut signature,
        );
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Claims of an application's token, version 2, with these roles.
pub(crate) fn claims(issuer: &str, roles: &[&str]) -> Value {
    json!({
        "aud": API_AUDIENCE,
        "iss": format!("{issuer}/{TENANT_ID}/v2.0"),
        "iat": seconds(),
        "nbf": seconds(),
        "exp": seconds() + 3_599,
        "tid": TENANT_ID,
        "oid": "7a6b5c4d-3e2f-4a1b-8c9d-0e1f2a3b4c5d",
        "azp": "88888888-7777-6666-5555-444444444444",
        "roles": roles,
        "ver": "2.0",
    })
}

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let mut state = lock(&state);
    let path = request.uri().path();
    let (status, body) = if state.login_status != 200 {
        (
            state.login_status,
            json!({ "error": "temporarily_unavailable" }),
        )
    } else if request.method() != Method::GET {
        (405, json!({}))
    } else if path == format!("/{TENANT_ID}/v2.0/.well-known/openid-configuration") {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let authority = state
            .keys_elsewhere
            .clone()
            .unwrap_or_else(|| format!("http://{host}"));
        let body = json!({
            "issuer": format!("http://{host}/{TENANT_ID}/v2.0"),
            "jwks_uri": format!("{authority}/{TENANT_ID}/discovery/v2.0/keys"),
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        (200, body)
    } else if path == format!("/{TENANT_ID}/discovery/v2.0/keys") {
        (200, json!({ "keys": state.published_keys }))
    } else {
        (404, json!({ "error": "invalid_tenant" }))
    };
    state.login_calls.push(Call {
        at: Instant::now(),
        target: path.to_owned(),
        status,
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
