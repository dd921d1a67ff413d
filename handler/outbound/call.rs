//! One call with everything around it: the path that every request takes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Code, Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Reply, Request, Service,
    http::{FetchError, Response},
    limiter::Limited,
    request::{Credentials, Repeat},
    retry,
    token::Token,
};

/// A try with less time than this is not started: it would only cost quota.
const MIN_TIME: Duration = Duration::from_millis(100);

/// A try that had this time and no response counts against the service.
const FAIR_TIME: Duration = Duration::from_millis(800);

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
        endpoint.breaker.check().map_err(open)?;
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
            .unwrap_or_else(|_| Err(Failure::deadline()));
        endpoint.note_result(&result);
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
            self.check_breaker()?;
            let response = match self.send(token.as_deref()).await {
                Ok(response) => response,
                // The earlier response from the service explains more than a time-out.
                Err(Unsent::GivenUp(failure)) => return Err(last.unwrap_or(failure)),
                Err(Unsent::NoResponse(error)) => {
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

    /// Ends the call if another call has opened the breaker since this one started.
    fn check_breaker(&self) -> Result<(), Failure> {
        match self.endpoint.breaker.opened_since(self.started) {
            Some((failure, left)) => Err(failure.while_open(left)),
            None => Ok(()),
        }
    }

    /// Sends the request once.
    async fn send(&self, token: Option<&Token>) -> Result<Response, Unsent> {
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
        let in_vain = self.check_breaker();
        if in_vain.is_err() || Instant::now() + MIN_TIME > self.deadline {
            permit.give_back();
            in_vain?;
            return Err(Failure::deadline().into());
        }
        let sent = Instant::now();
        let request = self.request.build(authorization);
        let fetch = self
            .outbound
            .http
            .fetch(request, self.request.max_bytes, self.deadline);
        let response = fetch.await;
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
                Err(self.maybe_done(Failure::deadline()).into())
            }
            response => response.map_err(Unsent::NoResponse),
        }
    }

    fn limited(&self, limited: Limited) -> Failure {
        match limited {
            Limited::Busy => Failure::deadline(),
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
    fn no_response(&self, error: &FetchError) -> Result<Failure, Failure> {
        let failure = self.failure_of(error);
        match error {
            FetchError::Connect(_) => Ok(failure),
            FetchError::Timeout(_) | FetchError::Interrupted(_) => self.if_repeatable(failure),
            FetchError::Tls(_) | FetchError::TooLarge(_) | FetchError::NoClient(_) => Err(failure),
        }
    }

    /// A 429 is a definite refusal; anything else may have been carried out.
    fn if_repeatable(&self, failure: Failure) -> Result<Failure, Failure> {
        if self.request.repeat == Repeat::Safe || failure.kind == Kind::Throttled {
            return Ok(failure);
        }
        self.endpoint.note_failed_try(&failure);
        Err(self.maybe_done(failure))
    }

    /// Adds to the failure of a write that it may have been carried out.
    fn maybe_done(&self, mut failure: Failure) -> Failure {
        if self.request.repeat == Repeat::Never {
            failure.detail += ". It may have been carried out, so it was not sent again: check before you repeat it";
        }
        failure
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
        if failure.kind == Kind::Throttled {
            self.endpoint.limiter.pause(wait);
        }
        self.endpoint.note_failed_try(&failure);
        let is_too_long = hint.is_some_and(|hint| hint > retry::LONGEST_PAUSE);
        if *count >= max_retries || is_too_long || Instant::now() + wait + MIN_TIME >= self.deadline
        {
            return Err(match failure.is_temporary() {
                true => failure.retry_in(wait),
                false => failure,
            });
        }
        *count += 1;
        // The limiter holds a throttled caller back, together with all others.
        if failure.kind != Kind::Throttled {
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

/// The reason why a try has no response.
enum Unsent {
    /// It was not sent, or time ran out: the call ends.
    GivenUp(Failure),
    /// It was sent, or sending it failed.
    NoResponse(FetchError),
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self::GivenUp(failure)
    }
}

/// The token holds characters that no header may have.
fn unusable_token() -> Failure {
    Failure::new(
        Kind::NoToken,
        Code::IdentityUnavailable,
        "the identity returned a token that cannot be sent",
        "control characters in the token",
    )
}
