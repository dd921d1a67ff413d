//! Microsoft Defender for Endpoint: one call with everything around it.
//!
//! Token, call limits, time limits, retries, the breaker, and what each status
//! means. Source: <https://learn.microsoft.com/defender-endpoint/api/common-errors>

mod answers;
pub mod error;
pub mod files;

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Request, header};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

pub use error::{DefenderError, Kind};

use answers::Outcome;

use crate::{
    breaker::Breaker,
    config::Config,
    http::{FetchError, HttpClient},
    identity::{Identity, Token},
    limiter::Limiter,
    retry,
};

/// Calls to one endpoint at a time, so that a slow one cannot take everything.
const MOST_IN_FLIGHT: usize = 32;

/// A call that has less time than this is not begun: it would cost quota only.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// One documented endpoint with limits of its own.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name in messages.
    name: &'static str,
    /// The application role that it needs.
    role: &'static str,
    limiter: Arc<Limiter>,
    breaker: Breaker<DefenderError>,
}

impl Endpoint {
    /// An endpoint with the limits of the settings.
    pub fn new(name: &'static str, role: &'static str, config: &Config) -> Self {
        let limiter = Limiter::new(
            config.defender_calls_per_minute,
            config.defender_calls_per_hour,
            MOST_IN_FLIGHT,
        );
        Self {
            name,
            role,
            limiter,
            breaker: Breaker::new(),
        }
    }
}

/// A JSON answer, or that there is nothing of that name.
#[derive(Debug)]
pub enum Found {
    /// 200 with JSON.
    Yes(Value),
    /// 404 as Defender documents it.
    No,
}

/// The Defender for Endpoint API.
#[derive(Debug)]
pub struct DefenderClient {
    base: Url,
    audience: String,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl DefenderClient {
    /// A client for the API that the settings name.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self {
            base: config.defender_api_url.clone(),
            audience: config.defender_api_audience.clone(),
            http,
            identity,
        })
    }

    /// `GET /api/...`, with the path given in segments.
    ///
    /// # Errors
    /// [`DefenderError`], after `deadline` at the latest. Never an answer made
    /// up from an error.
    pub async fn get(
        &self,
        endpoint: &Endpoint,
        path: &[&str],
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<Found, DefenderError> {
        endpoint
            .breaker
            .check()
            .map_err(|(error, left)| error.while_open(left))?;
        let result = timeout_at(
            deadline,
            self.with_retries(endpoint, path, max_bytes, deadline),
        )
        .await
        .unwrap_or_else(|_| Err(DefenderError::deadline()));
        match &result {
            Ok(_) => endpoint.breaker.succeeded(),
            Err(error) if error.kind.concerns_every_call() => endpoint.breaker.open(error.clone()),
            Err(error) if error.kind == Kind::Unavailable => {
                if endpoint.breaker.failed(error.clone()) {
                    tracing::warn!(
                        code = "breaker_open",
                        endpoint = endpoint.name,
                        "Defender fails repeatedly, pausing calls"
                    );
                }
            }
            Err(_) => {}
        }
        result
    }

    async fn with_retries(
        &self,
        endpoint: &Endpoint,
        path: &[&str],
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<Found, DefenderError> {
        let mut token = self.identity.token(&self.audience, deadline).await?;
        let mut replaced = false;
        let mut tries = 0;
        loop {
            match self
                .try_once(endpoint, path, max_bytes, &token, deadline)
                .await?
            {
                Outcome::Done(found) => return Ok(found),
                Outcome::Failed(error) => return Err(error),
                Outcome::Unauthorized(answer) if replaced => {
                    return Err(answers::unauthorized(&answer, &token));
                }
                Outcome::Unauthorized(_) => {
                    replaced = true;
                    token = self
                        .identity
                        .replace(&self.audience, &token, deadline)
                        .await?;
                }
                Outcome::Retry { error, most, .. } if tries >= most => return Err(error),
                Outcome::Retry { error, hint, .. } => {
                    let wait = retry::delay(tries, hint, fastrand::f64());
                    tries += 1;
                    let throttled = error.kind == Kind::Throttled;
                    if throttled {
                        // Every caller waits, this one included.
                        endpoint.limiter.pause(wait);
                    }
                    if Instant::now() + wait >= deadline {
                        return Err(error.retry_in(wait));
                    }
                    if !throttled {
                        sleep(wait).await;
                    }
                }
            }
        }
    }

    async fn try_once(
        &self,
        endpoint: &Endpoint,
        path: &[&str],
        max_bytes: usize,
        token: &Token,
        deadline: Instant,
    ) -> Result<Outcome, DefenderError> {
        let request = self.request(path, token)?;
        let began = Instant::now();
        let permit = endpoint
            .limiter
            .acquire(deadline)
            .await
            .map_err(DefenderError::limited)?;
        if let Some(error) = endpoint.breaker.opened_since(began) {
            permit.give_back();
            return Ok(Outcome::Failed(error));
        }
        if Instant::now() + LEAST_TIME > deadline {
            permit.give_back();
            return Ok(Outcome::Failed(DefenderError::deadline()));
        }
        let answer = self.http.fetch(request, max_bytes, deadline).await;
        drop(permit);
        Ok(match answer {
            Ok(answer) => answers::read(answer, endpoint, token),
            Err(FetchError::Timeout(_)) if Instant::now() >= deadline => {
                Outcome::Failed(DefenderError::deadline())
            }
            Err(error) => answers::failed_fetch(&error),
        })
    }

    fn request(&self, path: &[&str], token: &Token) -> Result<Request, DefenderError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("api").extend(path);
        }
        let mut request = Request::new(Method::GET, url);
        let authorization = token.authorization().ok_or_else(answers::unusable_token)?;
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization);
        request.headers_mut().insert(
            header::ACCEPT,
            header::HeaderValue::from_static("application/json"),
        );
        Ok(request)
    }
}
