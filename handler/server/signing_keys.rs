//! The keys with which an issuer signs its tokens.
//!
//! Read at the first token and kept. An unknown key id loads them again, at most once
//! in five minutes, so that made-up ids cannot make us ask. While the authority is
//! down, the known keys continue to serve.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::DecodingKey;
use reqwest::{Method, Request, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::outbound::{
    http::{FetchError, HttpClient},
    single_flight::SingleFlight,
};

/// Least time between two refreshes for unknown key ids.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);

/// Keys that are older are read again when they are next used.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Time before a failed first load is tried again.
const FAILURE_LIFE: Duration = Duration::from_secs(5);

/// Longest wait for the authority.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Entra's key sets have a few kilobytes.
const MAX_BYTES: usize = 1 << 18;

type Keys = HashMap<String, Arc<DecodingKey>>;

/// The reason why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// The issuer has no key of this id. A retry does not help.
    #[error("no such key")]
    Unknown,
    /// The authority did not respond. A retry may help.
    #[error("{0}")]
    Unavailable(#[from] FetchError),
    /// The response is not what the authority documents.
    #[error("the response from the authority is not what it documents: {0}")]
    Protocol(&'static str),
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct SigningKeys {
    metadata: Url,
    http: Arc<HttpClient>,
    slot: Arc<Mutex<KeySlot>>,
    flights: Arc<SingleFlight<(), Result<(), KeyError>>>,
}

#[derive(Default)]
struct KeySlot {
    keys: Option<(Keys, Instant)>,
    refreshed: Option<Instant>,
    failed: Option<(Instant, KeyError)>,
}

impl std::fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySlot")
            .field("keys", &self.keys.as_ref().map(|(keys, _)| keys.len()))
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Metadata {
    jwks_uri: Url,
}

#[derive(Deserialize)]
struct KeySet {
    /// Each is read by itself: an odd one takes no other with it.
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    kty: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

enum KeyState {
    Key(Arc<DecodingKey>),
    /// Still valid, but its set is old.
    OldKey(Arc<DecodingKey>),
    Load,
    Error(KeyError),
}

impl SigningKeys {
    /// The keys that the `OpenID` metadata at this URL names. Loads nothing yet.
    pub(super) fn new(metadata: Url, http: Arc<HttpClient>) -> Self {
        Self {
            metadata,
            http,
            slot: Arc::default(),
            flights: Arc::default(),
        }
    }

    /// The key of this id.
    pub(super) async fn get(&self, id: &str) -> Result<Arc<DecodingKey>, KeyError> {
        match self.state(id, false) {
            KeyState::Key(key) => Ok(key),
            KeyState::OldKey(key) => {
                let load = load(
                    Arc::clone(&self.http),
                    self.metadata.clone(),
                    Arc::clone(&self.slot),
                );
                let flights = Arc::clone(&self.flights);
                tokio::spawn(async move { flights.run((), || load).await });
                Ok(key)
            }
            KeyState::Error(error) => Err(error),
            KeyState::Load => {
                let load = load(
                    Arc::clone(&self.http),
                    self.metadata.clone(),
                    Arc::clone(&self.slot),
                );
                let (loaded, _) = self.flights.run((), || load).await;
                match self.state(id, true) {
                    KeyState::Key(key) | KeyState::OldKey(key) => Ok(key),
                    KeyState::Error(error) => Err(error),
                    KeyState::Load => {
                        Err(loaded.and_then(Result::err).unwrap_or(KeyError::Unknown))
                    }
                }
            }
        }
    }

    fn state(&self, id: &str, loaded: bool) -> KeyState {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((keys, at)) = &slot.keys else {
            return match &slot.failed {
                Some((failed, error)) if failed.elapsed() < FAILURE_LIFE => {
                    KeyState::Error(error.clone())
                }
                _ => KeyState::Load,
            };
        };
        let may_refresh = !loaded
            && slot
                .refreshed
                .is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL);
        match keys.get(id) {
            Some(key) if at.elapsed() >= KEPT && may_refresh => KeyState::OldKey(Arc::clone(key)),
            Some(key) => KeyState::Key(Arc::clone(key)),
            None if may_refresh => KeyState::Load,
            None => KeyState::Error(KeyError::Unknown),
        }
    }
}

async fn load(
    http: Arc<HttpClient>,
    metadata: Url,
    slot: Arc<Mutex<KeySlot>>,
) -> Result<(), KeyError> {
    let result = fetch_keys(&http, &metadata).await;
    let now = Instant::now();
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.keys.is_some() {
        // The first load is not a refresh; a failed refresh is one.
        slot.refreshed = Some(now);
    }
    match result {
        Ok(keys) => {
            slot.keys = Some((keys, now));
            slot.failed = None;
            Ok(())
        }
        Err(error) => {
            tracing::warn!(code = "keys_unavailable", cause = %error, "the signing keys of the tenant cannot be read");
            slot.failed = Some((now, error.clone()));
            Err(error)
        }
    }
}

async fn fetch_keys(http: &HttpClient, metadata: &Url) -> Result<Keys, KeyError> {
    let Metadata { jwks_uri } = fetch(http, metadata).await?;
    if jwks_uri.origin() != metadata.origin() {
        return Err(KeyError::Protocol(
            "the keys are at another origin than the metadata",
        ));
    }
    let set: KeySet = fetch(http, &jwks_uri).await?;
    let keys: Keys = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Key>(key).ok())
        .filter(|key| key.kty == "RSA" && !key.kid.is_empty())
        .filter_map(|key| {
            Some((
                key.kid,
                Arc::new(DecodingKey::from_rsa_components(&key.n, &key.e).ok()?),
            ))
        })
        .collect();
    if keys.is_empty() {
        Err(KeyError::Protocol("no RSA key"))
    } else {
        Ok(keys)
    }
}

async fn fetch<T: DeserializeOwned>(http: &HttpClient, url: &Url) -> Result<T, KeyError> {
    let request = Request::new(Method::GET, url.clone());
    let answer = http
        .fetch(request, MAX_BYTES, Instant::now() + TIME_LIMIT)
        .await?;
    if answer.status != StatusCode::OK {
        return Err(KeyError::Protocol("a status other than 200"));
    }
    functions::json::read_object(&answer.body)
        .map_err(|_| KeyError::Protocol("not JSON of the documented shape"))
}
