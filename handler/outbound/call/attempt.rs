//! One try of a call: permit, time, sending, and the failure of a try without a response.

use std::time::Duration;

use tokio::time::Instant;

use super::Call;
use crate::outbound::{
    Code, Failure, Kind,
    http::{FetchError, Response},
    limiter::Limited,
    request::Repeat,
    token::Token,
};

/// A try with less time than this is not started: it would only cost quota.
pub(super) const MIN_TIME: Duration = Duration::from_millis(100);

/// A try that had this time and no response counts against the service.
const FAIR_TIME: Duration = Duration::from_millis(800);

/// A try without a response.
pub(super) enum Unanswered {
    /// Nothing was sent: the call ends.
    NotSent(Failure),
    /// It was sent, and the deadline of the call came first.
    TimedOut,
    /// It was sent, or could not be.
    NoResponse(FetchError),
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::NotSent(failure)
    }
}

impl Call<'_> {
    /// Ends the call if another call has opened the breaker meanwhile.
    pub(super) fn check_breaker(&self) -> Result<(), Failure> {
        match self.endpoint.breaker.opened_since(self.started) {
            Some((failure, left)) => Err(failure.while_open(left)),
            None => Ok(()),
        }
    }

    /// Sends the request once.
    pub(super) async fn send(&self, token: Option<&Token>) -> Result<Response, Unanswered> {
        let authorization = match token {
            Some(token) => Some(token.authorization().ok_or_else(unusable_token)?),
            None => None,
        };
        let permit = self
            .endpoint
            .limiter
            .acquire(self.deadline)
            .await
            .map_err(|limited| self.limited(limited))?;
        let is_open = self.check_breaker();
        if is_open.is_err() || Instant::now() + MIN_TIME > self.deadline {
            permit.give_back();
            is_open?;
            return Err(Failure::deadline().into());
        }
        let sent = Instant::now();
        let request = self.request.build(authorization);
        let (http, max_bytes) = (&self.outbound.http, self.request.max_bytes);
        let response = match self.request.on_new_connection {
            true => http.fetch_alone(request, max_bytes, self.deadline).await,
            false => http.fetch(request, max_bytes, self.deadline).await,
        };
        match &response {
            // Nothing reached the service, so nothing counts there.
            Err(FetchError::Connect(_)) => permit.give_back(),
            _ => drop(permit),
        }
        match response {
            Err(FetchError::Timeout(_)) if Instant::now() >= self.deadline => {
                if sent.elapsed() >= FAIR_TIME {
                    let silence = self.failure_of(&FetchError::Timeout("deadline"));
                    self.endpoint.note_silence(silence);
                }
                Err(Unanswered::TimedOut)
            }
            response => response.map_err(Unanswered::NoResponse),
        }
    }

    fn limited(&self, limited: Limited) -> Failure {
        match limited {
            Limited::Busy => Failure::deadline(),
            Limited::Paused { retry_after } => self.endpoint.in_pause(retry_after),
            Limited::UsedUp { retry_after } => {
                let detail = format!(
                    "the call limit of {} is used up; try again later for what is missing",
                    self.endpoint.name
                );
                let code = Code::UpstreamThrottled;
                Failure::new(Kind::Throttled, code, detail, "own limiter").retry_in(retry_after)
            }
        }
    }

    fn failure_of(&self, error: &FetchError) -> Failure {
        let service = &self.outbound.service;
        Failure::no_response(&service.name, service.url_setting, error)
    }

    /// The failure of a try without a response, where the request may be sent again.
    pub(super) fn no_response(&self, error: &FetchError) -> Result<Failure, Failure> {
        let failure = self.failure_of(error);
        match error {
            FetchError::Connect(_) => Ok(failure),
            FetchError::Timeout(_) | FetchError::Interrupted(_) => self.if_repeatable(failure),
            FetchError::TooLarge(_) => Err(self.maybe_done(failure)),
            FetchError::Tls(_) | FetchError::NoClient(_) => Err(failure),
        }
    }

    /// A 429 is a definite refusal; anything else may have been carried out.
    pub(super) fn if_repeatable(&self, failure: Failure) -> Result<Failure, Failure> {
        if self.request.repeat == Repeat::Safe || failure.kind == Kind::Throttled {
            return Ok(failure);
        }
        self.endpoint.note_failed_try(&failure);
        Err(self.maybe_done(failure))
    }

    /// The failure of a try that the deadline ended. What the service said before explains
    /// more, but a write that was sent again may have been carried out this time.
    pub(super) fn timed_out(&self, last: Option<Failure>) -> Failure {
        match self.request.repeat {
            Repeat::Safe => last.unwrap_or_else(Failure::deadline),
            Repeat::Never => self.maybe_done(Failure::deadline()),
        }
    }

    /// Adds to the failure of a write that it may have been carried out.
    pub(super) fn maybe_done(&self, mut failure: Failure) -> Failure {
        if self.request.repeat == Repeat::Never {
            failure.detail += ". It may have been carried out, so it was not sent again: check before you repeat it";
        }
        failure
    }
}

/// The token has characters that no header may have.
fn unusable_token() -> Failure {
    Failure::new(
        Kind::NoToken,
        Code::IdentityUnavailable,
        "the identity returned a token that cannot be sent",
        "control characters in the token",
    )
}
