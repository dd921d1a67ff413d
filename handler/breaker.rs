//! A circuit breaker: after repeated failures calls fail at once for a while,
//! so that a service that is down costs neither time nor quota.
//!
//! Source: <https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker>

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failed calls in a row, each with its retries, that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;

/// How long it stays open before one call may try again.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(15);

/// The breaker of one endpoint; `E` is the failure that callers are told.
#[derive(Debug)]
pub(crate) struct Breaker<E> {
    state: Mutex<State<E>>,
}

#[derive(Debug)]
struct State<E> {
    failures: u32,
    open: Option<(Instant, E)>,
    opened: Option<Instant>,
}

impl<E> Default for State<E> {
    fn default() -> Self {
        Self {
            failures: 0,
            open: None,
            opened: None,
        }
    }
}

impl<E> State<E> {
    fn open(&mut self, failure: E) {
        let now = Instant::now();
        self.open = Some((now + OPEN_FOR, failure));
        self.opened = Some(now);
    }
}

impl<E: Clone> Breaker<E> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    /// Lets a call through, or says with which failure it was opened and for
    /// how much longer. When its time is over, one call passes as a probe.
    pub(crate) fn check(&self) -> Result<(), (E, Duration)> {
        let mut state = self.lock();
        let now = Instant::now();
        match &mut state.open {
            Some((until, failure)) if *until > now => Err((failure.clone(), *until - now)),
            Some((until, _)) => {
                *until = now + OPEN_FOR;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A call got an answer: the service is there.
    pub(crate) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// The failure that opened it since this instant: a call that waited for
    /// its turn meanwhile need not be made any more.
    pub(crate) fn opened_since(&self, instant: Instant) -> Option<E> {
        let state = self.lock();
        let (_, failure) = state.open.as_ref()?;
        state
            .opened
            .is_some_and(|opened| opened > instant)
            .then(|| failure.clone())
    }

    /// A call failed for good; returns whether this opened the breaker.
    pub(crate) fn failed(&self, failure: E) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        let opens = state.failures >= FAILURES_TO_OPEN && state.open.is_none();
        if state.failures >= FAILURES_TO_OPEN {
            state.open(failure);
        }
        opens
    }

    /// Opens at once, for a failure that every other call would meet as well.
    pub(crate) fn open(&self, failure: E) {
        let mut state = self.lock();
        state.failures = FAILURES_TO_OPEN;
        state.open(failure);
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
            assert_eq!(breaker.failed("down"), call == FAILURES_TO_OPEN);
        }
        assert_eq!(breaker.check(), Err(("down", OPEN_FOR)));
        tokio::time::advance(OPEN_FOR).await;
        assert_eq!(breaker.check(), Ok(()), "the probe");
        assert!(breaker.check().is_err(), "no second probe");
        breaker.succeeded();
        assert_eq!(breaker.check(), Ok(()));
    }
}
