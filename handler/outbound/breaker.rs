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
    given_up: u32,
    failed_tries: u32,
    failing_since: Option<Instant>,
    open: Option<Open<E>>,
}

#[derive(Debug)]
struct Open<E> {
    since: Instant,
    until: Instant,
    failure: E,
}

impl<E> Default for State<E> {
    fn default() -> Self {
        Self {
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
    /// it stays open. When that time is over, one call passes as a probe.
    pub(crate) fn check(&self) -> Result<(), (E, Duration)> {
        let mut state = self.lock();
        let now = Instant::now();
        match &mut state.open {
            Some(open) if open.until > now => Err((open.failure.clone(), open.until - now)),
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
        *self.lock() = State::default();
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

    /// Opens immediately, for a failure that every other call would meet as well.
    pub(crate) fn open(&self, failure: E) {
        self.lock().open(failure);
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
            assert_eq!(breaker.check(), Ok(()));
            assert_eq!(breaker.gave_up("down"), call == FAILURES_TO_OPEN);
        }
        assert_eq!(breaker.check(), Err(("down", OPEN_FOR)));
        tokio::time::advance(OPEN_FOR).await;
        assert_eq!(breaker.check(), Ok(()), "the probe");
        assert!(breaker.check().is_err(), "no second probe");
        breaker.succeeded();
        assert_eq!(breaker.check(), Ok(()));
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
}
