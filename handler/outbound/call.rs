//! The sequence of every outbound call: token, limit, breaker, send, retry.

mod attempt;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Code, Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Reply, Request, Service,
    request::Credentials, retry, token::Token,
};
use attempt::{MIN_TIME, Unanswered};

/// How much earlier than its caller's deadline a call ends by itself.
const MARGIN: Duration = Duration::from_millis(20);

/// The way to one service: its URL and audience, our client, our identity.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    service: Arc<Service>,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl Outbound {
    /// The way to a service. Sends nothing yet.
    pub(crate) fn new(service: Service, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        Self {
            service: Arc::new(service),
            http,
            identity,
        }
    }

    /// The service.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// A token for the service.
    ///
    /// # Errors
    /// [`Failure`] without a token, or after `deadline`.
    pub(crate) async fn token(&self, deadline: Instant) -> Result<Arc<Token>, Failure> {
        self.identity.token(&self.service.audience, deadline).await
    }

    /// Sends a request until there is a result, the retries are used up, or the
    /// time is. `meaning` says what a response is.
    ///
    /// # Errors
    /// [`Failure`], after `deadline` at the latest. An error never becomes
    /// a result.
    pub(crate) async fn call<T: Send>(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        deadline: Instant,
        meaning: impl Fn(&Reply<'_>) -> Meaning<T> + Sync,
    ) -> Result<T, Failure> {
        let open = |(failure, left): (Failure, _)| failure.while_open(left);
        let resource = request.url.path();
        endpoint.breaker.check(resource).map_err(open)?;
        let call = Call {
            outbound: self,
            endpoint,
            request,
            // An end from within says more than the time limit around it.
            deadline: deadline.checked_sub(MARGIN).unwrap_or(deadline),
            started: Instant::now(),
        };
        let result = timeout_at(deadline, call.run(&meaning))
            .await
            .unwrap_or_else(|_| Err(call.maybe_done(Failure::deadline())));
        endpoint.note_result(resource, &result);
        result
    }
}

/// A call in progress.
struct Call<'a> {
    outbound: &'a Outbound,
    endpoint: &'a Endpoint,
    request: &'a Request,
    deadline: Instant,
    started: Instant,
}

impl Call<'_> {
    async fn run<T>(
        &self,
        meaning: &(impl Fn(&Reply<'_>) -> Meaning<T> + Sync),
    ) -> Result<T, Failure> {
        self.stay_on_host()?;
        let mut token = self.token().await?;
        let mut is_replaced = false;
        let mut retries = Retries::default();
        let mut last: Option<Failure> = None;
        loop {
            match self.check_breaker() {
                Err(failure) if self.request.more_retries > 0 && failure.is_temporary() => {
                    last = Some(self.wait(&mut retries, failure, 0).await?);
                    continue;
                }
                checked => checked?,
            }
            let response = match self.send(token.as_deref()).await {
                Ok(response) => response,
                Err(Unanswered::NotSent(failure)) => return Err(last.unwrap_or(failure)),
                Err(Unanswered::TimedOut) => return Err(self.timed_out(last)),
                Err(Unanswered::NoResponse(error)) => {
                    let failure = self.no_response(&error)?;
                    last = Some(self.wait(&mut retries, failure, retry::MAX_RETRIES).await?);
                    continue;
                }
            };
            let reply = Reply {
                response: &response,
                service: &self.outbound.service,
                token: token.as_deref(),
            };
            match meaning(&reply) {
                Meaning::Done(result) => return Ok(result),
                // A success that cannot be read is a success all the same.
                Meaning::Failed(failure) if reply.status().is_success() => {
                    return Err(self.maybe_done(failure));
                }
                Meaning::Failed(failure) => return Err(failure),
                Meaning::Unauthorized => {
                    let Some(refused) = token.clone().filter(|_| !is_replaced) else {
                        return Err(reply.unauthorized());
                    };
                    token = Some(self.replace(&refused).await?);
                    is_replaced = true;
                }
                Meaning::Retry {
                    failure,
                    max_retries,
                } => {
                    let failure = self.if_repeatable(failure)?;
                    last = Some(self.wait(&mut retries, failure, max_retries).await?);
                }
            }
        }
    }

    /// A token never goes to another host than that of its service.
    fn stay_on_host(&self) -> Result<(), Failure> {
        let service = &self.outbound.service;
        if self.request.url.origin() == service.base.origin() {
            return Ok(());
        }
        let detail = format!(
            "{} names a page at another host, which is not followed",
            service.name
        );
        Err(Failure::new(
            Kind::Protocol,
            Code::UpstreamProtocol,
            detail,
            "another origin",
        ))
    }

    async fn token(&self) -> Result<Option<Arc<Token>>, Failure> {
        match self.request.credentials {
            Credentials::None => Ok(None),
            Credentials::Token => self.outbound.token(self.deadline).await.map(Some),
        }
    }

    async fn replace(&self, refused: &Arc<Token>) -> Result<Arc<Token>, Failure> {
        let audience = &self.outbound.service.audience;
        let identity = &self.outbound.identity;
        identity.replace(audience, refused, self.deadline).await
    }

    /// Waits before the next try, or ends the call with the failure.
    async fn wait(
        &self,
        retries: &mut Retries,
        failure: Failure,
        max_retries: u32,
    ) -> Result<Failure, Failure> {
        let hint = failure.retry_after;
        let count = retries.of(failure.kind);
        let wait = retry::delay(*count, hint, fastrand::f64());
        // A time that the service names holds for every caller.
        let is_for_all = !failure.is_echo && (failure.kind == Kind::Throttled || hint.is_some());
        if is_for_all {
            self.endpoint.pause_after(&failure, wait);
        }
        self.endpoint.note_failed_try(&failure);
        let max_retries = match failure.is_temporary() {
            true => max_retries + self.request.more_retries,
            false => max_retries,
        };
        let is_too_long = hint.is_some_and(|hint| hint > retry::LONGEST_PAUSE);
        if *count >= max_retries || is_too_long || Instant::now() + wait + MIN_TIME >= self.deadline
        {
            return Err(match failure.is_temporary() {
                true => failure.retry_in(wait),
                false => failure,
            });
        }
        *count += 1;
        // In a pause, the limiter holds this caller back together with all others.
        if !is_for_all {
            sleep(wait).await;
        }
        Ok(failure)
    }
}

/// The retries so far: a service that throttles for long may fail once as well.
#[derive(Default)]
struct Retries {
    throttled: u32,
    failed: u32,
}

impl Retries {
    fn of(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Throttled => &mut self.throttled,
            _ => &mut self.failed,
        }
    }
}

#[cfg(test)]
mod tests;
