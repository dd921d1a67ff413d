//! A circuit breaker: after repeated failures, calls fail immediately for a while,
//! so that a service that is down costs neither time nor quota.
//!
//! Source: <https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker>

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Calls given up in a row, or failed tries in a row over [`LASTING`], that
/// open the breaker.
const FAILURES_TO_OPEN: u32 = 5;

/// Failed tries over a shorter time are a hiccup that retries handle.
const LASTING: Duration = Duration::from_secs(1);

/// How long it stays open before one call may try again.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(15);

/// The breaker of one endpoint; `E` is the failure that callers get while it is open.
#[derive(Debug)]
pub(crate) struct Breaker<E> {
    state: Mutex<State<E>>,
}

#[derive(Debug)]
struct State<E> {
    /// True if a call has succeeded.
    has_succeeded: bool,
    /// The resource that was refused last, without a success since.
    refused: Option<String>,
    given_up: u32,
    failed_tries: u32,
    failing_since: Option<Instant>,
    open: Option<Open<E>>,
}

#[derive(Debug)]
struct Open<E> {
    /// The resource that was refused when it opened; another call is the probe.
    refused: Option<String>,
    since: Instant,
    until: Instant,
    failure: E,
}

impl<E> Default for State<E> {
    fn default() -> Self {
        Self {
            has_succeeded: false,
            refused: None,
            given_up: 0,
            failed_tries: 0,
            failing_since: None,
            open: None,
        }
    }
}

impl<E> State<E> {
    /// Opens where it is not open; returns whether it was closed before.
    fn open(&mut self, failure: E) -> bool {
        let now = Instant::now();
        let closed = self.open.is_none();
        self.open = Some(Open {
            refused: self.refused.clone(),
            since: now,
            until: now + OPEN_FOR,
            failure,
        });
        closed
    }
}

impl<E: Clone> Breaker<E> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    /// Lets a call through, or returns the failure that opened it and the time that
    /// it stays open.
    ///
    /// When that time is over, one call passes as a probe. A call for what was refused may
    /// pass too, but is not a probe: it says nothing about others.
    pub(crate) fn check(&self, resource: &str) -> Result<(), (E, Duration)> {
        let mut state = self.lock();
        let now = Instant::now();
        match &mut state.open {
            Some(open) if open.until > now => Err((open.failure.clone(), open.until - now)),
            Some(open) if open.refused.as_deref() == Some(resource) => Ok(()),
            Some(open) => {
                open.until = now + OPEN_FOR;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The failure that opened it since this instant, and the time that it stays open.
    ///
    /// A call that waited in the meantime need not be made any more.
    pub(crate) fn opened_since(&self, instant: Instant) -> Option<(E, Duration)> {
        let state = self.lock();
        let now = Instant::now();
        let open = state
            .open
            .as_ref()
            .filter(|open| open.since > instant && open.until > now)?;
        Some((open.failure.clone(), open.until - now))
    }

    /// A call got an answer: the service is there.
    pub(crate) fn succeeded(&self) {
        *self.lock() = State {
            has_succeeded: true,
            ..State::default()
        };
    }

    /// A try failed and may be repeated; returns whether this opened it.
    pub(crate) fn try_failed(&self, failure: E) -> bool {
        let mut state = self.lock();
        state.failed_tries += 1;
        let since = *state.failing_since.get_or_insert_with(Instant::now);
        state.failed_tries >= FAILURES_TO_OPEN && since.elapsed() >= LASTING && state.open(failure)
    }

    /// A call failed for good; returns whether this opened it.
    pub(crate) fn gave_up(&self, failure: E) -> bool {
        let mut state = self.lock();
        state.given_up += 1;
        state.given_up >= FAILURES_TO_OPEN && state.open(failure)
    }

    /// A call was refused. The second refusal in a row opens it, unless it is for the same
    /// resource and others have succeeded: then it concerns that resource only.
    pub(crate) fn refused(&self, resource: &str, failure: E) {
        let mut state = self.lock();
        let before = state.refused.replace(resource.to_owned());
        let is_for_all = before.is_some_and(|before| before != resource || !state.has_succeeded);
        if is_for_all || state.open.is_some() {
            state.open(failure);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a04_breaker_opens_after_repeated_failures_and_lets_one_probe_through() {
        let breaker = Breaker::new();
        for call in 1..=FAILURES_TO_OPEN {
            assert_eq!(breaker.check("x"), Ok(()));
            assert_eq!(breaker.gave_up("down"), call == FAILURES_TO_OPEN);
        }
        assert_eq!(breaker.check("x"), Err(("down", OPEN_FOR)));
        tokio::time::advance(OPEN_FOR).await;
        assert_eq!(breaker.check("x"), Ok(()), "the probe");
        assert!(breaker.check("x").is_err(), "no second probe");
        breaker.succeeded();
        assert_eq!(breaker.check("x"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a04_tries_that_keep_failing_open_it_and_a_hiccup_does_not() {
        let breaker = Breaker::new();
        let began = Instant::now();
        for _ in 0..100 {
            assert!(!breaker.try_failed("down"), "a burst is a hiccup");
        }
        tokio::time::advance(LASTING).await;
        assert!(breaker.try_failed("down"));
        assert_eq!(breaker.opened_since(began), Some(("down", OPEN_FOR)));
        assert_eq!(breaker.opened_since(Instant::now()), None);
        assert!(!breaker.try_failed("down"), "reported once");
    }

    #[tokio::test(start_paused = true)]
    async fn field_s05_one_refused_resource_is_not_everybodys_failure() {
        let breaker = Breaker::new();
        breaker.succeeded();
        for _ in 0..20 {
            breaker.refused("bad", "403");
            assert_eq!(breaker.check("good"), Ok(()));
        }
        breaker.succeeded();
        breaker.refused("bad", "403");
        breaker.refused("another", "403");
        assert!(breaker.check("good").is_err(), "a second one");
        tokio::time::advance(OPEN_FOR).await;
        assert_eq!(breaker.check("another"), Ok(()), "no probe");
        breaker.refused("another", "403");
        tokio::time::advance(OPEN_FOR).await;
        assert_eq!(breaker.check("good"), Ok(()), "the probe");
        assert!(breaker.check("good").is_err(), "no second probe");
        breaker.succeeded();
        assert_eq!(breaker.check("bad"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn two_refusals_before_any_success_hold_for_all() {
        let breaker = Breaker::new();
        breaker.refused("first", "403");
        assert_eq!(breaker.check("second"), Ok(()));
        breaker.refused("first", "403");
        assert!(breaker.check("second").is_err());
    }
}
