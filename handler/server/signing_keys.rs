//! The keys with which Entra signs the tokens of a tenant.
//!
//! Read at the first token and kept. An unknown key id asks for them anew, at
//! most once in five minutes, so that made-up ids cannot make us ask; while the
//! authority is down the keys at hand serve on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::DecodingKey;
use reqwest::{Method, Request, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;
use url::Url;

use crate::outbound::{
    http::{FetchError, HttpClient},
    single_flight::SingleFlight,
};

/// Least time between two refreshes for unknown key ids.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Keys that are older are read anew when they are next used.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Time before a failed first load is tried again.
const FAILURE_LIFE: Duration = Duration::from_secs(5);
/// Longest wait for the authority.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Entra's key sets have a few kilobytes.
const MAX_BYTES: usize = 1 << 18;

type Keys = HashMap<String, Arc<DecodingKey>>;

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// The tenant has no key of this id. A retry does not help.
    #[error("no such key")]
    Unknown,
    /// The authority did not answer. A retry may help.
    #[error("{0}")]
    Unavailable(#[from] FetchError),
    /// The authority answered otherwise than documented.
    #[error("the authority answered otherwise than documented: {0}")]
    Protocol(&'static str),
}

/// The keys of one tenant.
#[derive(Debug)]
pub(super) struct SigningKeys {
    metadata: Url,
    http: Arc<HttpClient>,
    held: Arc<Mutex<Held>>,
    flights: Arc<SingleFlight<(), Result<(), KeyError>>>,
}

#[derive(Default)]
struct Held {
    keys: Option<(Keys, Instant)>,
    refreshed: Option<Instant>,
    failed: Option<(Instant, KeyError)>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
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
    keys: Vec<Key>,
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

enum Look {
    Key(Arc<DecodingKey>),
    /// Good still, but the set it is from is old.
    OldKey(Arc<DecodingKey>),
    Load,
    Error(KeyError),
}

impl SigningKeys {
    pub(super) fn new(login_url: &Url, tenant: &str, http: Arc<HttpClient>) -> Self {
        let mut metadata = login_url.clone();
        if let Ok(mut path) = metadata.path_segments_mut() {
            path.clear()
                .extend([tenant, "v2.0", ".well-known", "openid-configuration"]);
        }
        Self {
            metadata,
            http,
            held: Arc::default(),
            flights: Arc::default(),
        }
    }

    /// The key of this id.
    pub(super) async fn get(&self, id: &str) -> Result<Arc<DecodingKey>, KeyError> {
        match self.look(id, false) {
            Look::Key(key) => Ok(key),
            Look::OldKey(key) => {
                let load = load(
                    Arc::clone(&self.http),
                    self.metadata.clone(),
                    Arc::clone(&self.held),
                );
                let flights = Arc::clone(&self.flights);
                tokio::spawn(async move { flights.run((), || load).await });
                Ok(key)
            }
            Look::Error(error) => Err(error),
            Look::Load => {
                let load = load(
                    Arc::clone(&self.http),
                    self.metadata.clone(),
                    Arc::clone(&self.held),
                );
                let (loaded, _) = self.flights.run((), || load).await;
                match self.look(id, true) {
                    Look::Key(key) | Look::OldKey(key) => Ok(key),
                    Look::Error(error) => Err(error),
                    Look::Load => Err(loaded.and_then(Result::err).unwrap_or(KeyError::Unknown)),
                }
            }
        }
    }

    fn look(&self, id: &str, loaded: bool) -> Look {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((keys, at)) = &held.keys else {
            return match &held.failed {
                Some((failed, error)) if failed.elapsed() < FAILURE_LIFE => {
                    Look::Error(error.clone())
                }
                _ => Look::Load,
            };
        };
        let may_refresh = !loaded
            && held
                .refreshed
                .is_none_or(|at| at.elapsed() >= REFRESH_INTERVAL);
        match keys.get(id) {
            Some(key) if at.elapsed() >= KEPT && may_refresh => Look::OldKey(Arc::clone(key)),
            Some(key) => Look::Key(Arc::clone(key)),
            None if may_refresh => Look::Load,
            None => Look::Error(KeyError::Unknown),
        }
    }
}

async fn load(
    http: Arc<HttpClient>,
    metadata: Url,
    held: Arc<Mutex<Held>>,
) -> Result<(), KeyError> {
    let result = fetch_keys(&http, &metadata).await;
    let now = Instant::now();
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if held.keys.is_some() {
        // The first load is no refresh; a failed refresh is one.
        held.refreshed = Some(now);
    }
    match result {
        Ok(keys) => {
            held.keys = Some((keys, now));
            held.failed = None;
            Ok(())
        }
        Err(error) => {
            tracing::warn!(code = "keys_unavailable", cause = %error, "the signing keys of the tenant cannot be read");
            held.failed = Some((now, error.clone()));
            Err(error)
        }
    }
}

async fn fetch_keys(http: &HttpClient, metadata: &Url) -> Result<Keys, KeyError> {
    let Metadata { jwks_uri } = fetch(http, metadata).await?;
    if jwks_uri.origin() != metadata.origin() {
        return Err(KeyError::Protocol(
            "the keys lie at another origin than the metadata",
        ));
    }
    let set: KeySet = fetch(http, &jwks_uri).await?;
    let keys: Keys = set
        .keys
        .into_iter()
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
    serde_json::from_slice(&answer.body)
        .map_err(|_| KeyError::Protocol("no JSON of the documented shape"))
}
