//! One call with its retries: what surrounds a request to Defender.

use std::time::Duration;

use reqwest::{Method, Request, header};
use tokio::time::{Instant, sleep};

use super::{
    DefenderClient, DefenderError, Endpoint, Found, Kind, Resource,
    answers::{self, Outcome},
};
use crate::{http::FetchError, identity::Token, retry};

/// A try that has less time than this is not begun: it would cost quota only.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// A try that had this time and no answer speaks against Defender.
const FAIR_TIME: Duration = Duration::from_millis(800);

/// A call under way.
pub(super) struct Call<'a> {
    pub(super) client: &'a DefenderClient,
    pub(super) endpoint: &'a Endpoint,
    pub(super) resource: &'a Resource<'a>,
    pub(super) deadline: Instant,
    pub(super) began: Instant,
}

impl Call<'_> {
    /// Tries until there is an answer, the retries are used up, or the time is.
    pub(super) async fn run(&self) -> Result<Found, DefenderError> {
        let mut token = self.token().await?;
        let mut replaced = false;
        let mut tries = 0;
        let mut last: Option<DefenderError> = None;
        loop {
            self.not_given_up()?;
            let outcome = self.try_once(&token).await;
            match outcome {
                // What Defender said before explains more than that time ran out.
                Err(error) => return Err(last.unwrap_or(error)),
                Ok(Outcome::Done(found)) => return Ok(found),
                Ok(Outcome::Failed(error)) => return Err(error),
                Ok(Outcome::Unauthorized(answer)) if replaced => {
                    return Err(answers::unauthorized(
                        &answer,
                        self.client.audience_setting,
                        &token,
                    ));
                }
                Ok(Outcome::Unauthorized(_)) => {
                    replaced = true;
                    token = self
                        .client
                        .identity
                        .replace(&self.client.audience, &token, self.deadline)
                        .await?;
                }
                Ok(Outcome::Retry { error, hint, most }) => {
                    let wait = retry::delay(tries, hint, fastrand::f64());
                    self.note(&error, wait);
                    if tries >= most || Instant::now() + wait + LEAST_TIME >= self.deadline {
                        return Err(if error.is_temporary() {
                            error.retry_in(wait)
                        } else {
                            error
                        });
                    }
                    tries += 1;
                    if error.kind != Kind::Throttled {
                        sleep(wait).await;
                    }
                    last = Some(error);
                }
            }
        }
    }

    async fn token(&self) -> Result<std::sync::Arc<Token>, DefenderError> {
        Ok(self
            .client
            .identity
            .token(&self.client.audience, self.deadline)
            .await?)
    }

    /// Ends the call when others found out meanwhile that it is in vain.
    fn not_given_up(&self) -> Result<(), DefenderError> {
        match self.endpoint.breaker.opened_since(self.began) {
            Some((error, left)) => Err(error.while_open(left)),
            None => Ok(()),
        }
    }

    /// Lets everybody else know: a 429 makes every caller wait, repeated
    /// failure opens the breaker.
    fn note(&self, error: &DefenderError, wait: Duration) {
        match error.kind {
            Kind::Throttled => self.endpoint.limiter.pause(wait),
            Kind::Unavailable => {
                let opened = self.endpoint.breaker.try_failed(error.clone());
                self.endpoint.tell_opened(opened);
            }
            _ => {}
        }
    }

    /// One request. `Err` when none was made.
    async fn try_once(&self, token: &Token) -> Result<Outcome, DefenderError> {
        let request = self.request(token)?;
        let permit = self
            .endpoint
            .limiter
            .acquire(self.deadline)
            .await
            .map_err(DefenderError::limited)?;
        let in_vain = self.not_given_up();
        if in_vain.is_err() || Instant::now() + LEAST_TIME > self.deadline {
            permit.give_back();
            return in_vain.and(Err(DefenderError::deadline()));
        }
        let sent = Instant::now();
        let answer = self
            .client
            .http
            .fetch(request, self.resource.max_bytes, self.deadline)
            .await;
        match &answer {
            // Nothing reached Defender, so nothing counts there.
            Err(FetchError::Connect(_)) => permit.give_back(),
            _ => drop(permit),
        }
        match answer {
            Ok(answer) => Ok(answers::read(
                answer,
                self.endpoint,
                self.client.audience_setting,
                token,
            )),
            Err(FetchError::Timeout(_)) if Instant::now() >= self.deadline => {
                self.note_silence(sent);
                Err(DefenderError::deadline())
            }
            Err(error) => Ok(answers::failed_fetch(&error)),
        }
    }

    /// A deadline that ended a call counts against Defender where it had time.
    fn note_silence(&self, sent: Instant) {
        if sent.elapsed() >= FAIR_TIME {
            let error = DefenderError::from(&FetchError::Timeout("deadline"));
            self.endpoint
                .tell_opened(self.endpoint.breaker.gave_up(error));
        }
    }

    fn request(&self, token: &Token) -> Result<Request, DefenderError> {
        let mut url = self.client.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .clear()
                .push(self.client.root)
                .extend(self.resource.path);
        }
        url.set_query(self.resource.query.as_deref());
        let method = match self.resource.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let mut request = Request::new(method, url);
        let authorization = token.authorization().ok_or_else(answers::unusable_token)?;
        let json = header::HeaderValue::from_static("application/json");
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization);
        request.headers_mut().insert(header::ACCEPT, json);
        if let Some(body) = &self.resource.body {
            let json = header::HeaderValue::from_static("application/json; charset=utf-8");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = Some(body.clone().into());
        }
        Ok(request)
    }
}
