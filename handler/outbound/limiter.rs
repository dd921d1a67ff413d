//! Keeps the call limits of a service on our side.
//!
//! A ring of the instants at which past calls ended, with the calls in flight
//! counted: no window ever has more calls than allowed, whatever their latency,
//! and the full allowance may be used in one burst. A token bucket would let
//! twice the allowance through a window. Windows are one second longer than
//! those of the service, because its clock is not ours.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

const MINUTE: Duration = Duration::from_secs(61);

const HOUR: Duration = Duration::from_secs(3_601);

/// A pause of at least this length is worth a line in the log.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// The reason why a caller does not get a permit in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Limited {
    /// Our own limit is used up.
    #[error("the call limit is used up for another {} s", .retry_after.as_secs())]
    UsedUp {
        /// The time until the limit allows the next call.
        retry_after: Duration,
    },
    /// The service asked everyone to wait.
    #[error("the service asks to wait for another {} s", .retry_after.as_secs())]
    Paused {
        /// The rest of the wait.
        retry_after: Duration,
    },
    /// Too many calls are in progress, and none ended in time.
    #[error("too many calls are in progress")]
    Busy,
}

/// The limits of one endpoint, shared by all its callers.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Windows with the calls allowed in each; none where only responses say when to
    /// wait.
    windows: Vec<(Duration, usize)>,
    max_in_flight: usize,
    state: Mutex<State>,
    changed: Notify,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    ended: VecDeque<Instant>,
    in_flight: usize,
    paused_until: Option<Instant>,
}

enum Next {
    Now,
    At(Instant),
    WhenACallEnds,
}

/// The right to one call; counts as ended when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    spent: bool,
}

impl Permit {
    /// Ends it without having made a call.
    pub(crate) fn give_back(mut self) {
        self.spent = false;
    }
}

impl Limiter {
    /// A limiter with the most calls in any minute, in any hour, and at a time.
    pub(crate) fn new(per_minute: usize, per_hour: usize, max_in_flight: usize) -> Arc<Self> {
        Self::with(vec![(MINUTE, per_minute), (HOUR, per_hour)], max_in_flight)
    }

    /// A limiter for a service whose responses say when to wait.
    ///
    /// It bounds only the calls at a time, and pauses.
    pub(crate) fn by_responses(max_in_flight: usize) -> Arc<Self> {
        Self::with(Vec::new(), max_in_flight)
    }

    fn with(windows: Vec<(Duration, usize)>, max_in_flight: usize) -> Arc<Self> {
        Arc::new(Self {
            windows,
            max_in_flight,
            state: Mutex::default(),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Waits until a call is allowed, first come first served.
    ///
    /// # Errors
    /// [`Limited`] immediately if that would be after `deadline`.
    pub(crate) async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Permit, Limited> {
        self.not_after(deadline)?;
        let Ok(_turn) = timeout_at(deadline, self.turn.lock()).await else {
            return Err(self.limited());
        };
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            self.not_after(deadline)?;
            match self.next(true) {
                Next::Now => {
                    return Ok(Permit {
                        limiter: Arc::clone(self),
                        spent: true,
                    });
                }
                Next::At(instant) => {
                    let _ = timeout_at(instant, changed).await;
                }
                Next::WhenACallEnds => {
                    if timeout_at(deadline, changed).await.is_err() {
                        return Err(self.limited());
                    }
                }
            }
        }
    }

    /// The time until the next call is allowed; `None` if that is now.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self.next(false) {
            Next::At(at) => Some(at.saturating_duration_since(Instant::now())),
            Next::Now | Next::WhenACallEnds => None,
        }
    }

    /// Holds every caller back, as the service asked.
    pub(crate) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        let before = state.paused_until;
        state.paused_until = before.max(Some(until));
        drop(state);
        // Calls in progress are refused together: that is one wait.
        let is_known = before.is_some_and(|before| until < before + LONG_PAUSE);
        if time >= LONG_PAUSE && !is_known {
            tracing::warn!(
                code = "throttled",
                seconds = time.as_secs(),
                "the service asks to wait"
            );
        }
        self.changed.notify_waiters();
    }

    fn not_after(&self, deadline: Instant) -> Result<(), Limited> {
        match self.next(false) {
            Next::At(instant) if instant > deadline => Err(self.limited()),
            _ => Ok(()),
        }
    }

    fn limited(&self) -> Limited {
        let now = Instant::now();
        match self.next(false) {
            Next::At(at) => {
                let retry_after = at
                    .saturating_duration_since(now)
                    .max(Duration::from_secs(1));
                let paused_until = self.lock().paused_until;
                match paused_until.is_some_and(|until| until >= at) {
                    true => Limited::Paused { retry_after },
                    false => Limited::UsedUp { retry_after },
                }
            }
            Next::Now | Next::WhenACallEnds => Limited::Busy,
        }
    }

    /// The time of the next call; takes it if that is now and `take` says so.
    fn next(&self, take: bool) -> Next {
        let now = Instant::now();
        let mut state = self.lock();
        while state
            .ended
            .front()
            .is_some_and(|ended| *ended + HOUR <= now)
        {
            state.ended.pop_front();
        }
        let mut at = state.paused_until.filter(|until| *until > now);
        if state.in_flight >= self.max_in_flight {
            return at.map_or(Next::WhenACallEnds, Next::At);
        }
        for &(window, limit) in &self.windows {
            let Some(free) = limit.checked_sub(state.in_flight).filter(|free| *free > 0) else {
                return at.map_or(Next::WhenACallEnds, Next::At);
            };
            let recent = state.ended.partition_point(|ended| *ended + window <= now);
            let counted = state.ended.len() - recent;
            if counted >= free {
                at = at.max(Some(state.ended[recent + counted - free] + window));
            }
        }
        match at {
            Some(at) => Next::At(at),
            None => {
                state.in_flight += usize::from(take);
                Next::Now
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.in_flight -= 1;
        if self.spent && !self.limiter.windows.is_empty() {
            state.ended.push_back(Instant::now());
        }
        drop(state);
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_seconds(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    /// Starts `calls` calls of `latency` and returns when each one began.
    async fn run(limiter: &Arc<Limiter>, calls: usize, latency: Duration) -> Vec<Instant> {
        let tasks: Vec<_> = (0..calls)
            .map(|_| {
                let limiter = Arc::clone(limiter);
                tokio::spawn(async move {
                    let permit = limiter.acquire(in_seconds(100_000)).await.unwrap();
                    let began = Instant::now();
                    tokio::time::sleep(latency).await;
                    drop(permit);
                    began
                })
            })
            .collect();
        let mut began = Vec::new();
        for task in tasks {
            began.push(task.await.unwrap());
        }
        began.sort();
        began
    }

    /// The most instants in any window of this length.
    fn most_in(window: Duration, instants: &[Instant]) -> usize {
        instants
            .iter()
            .enumerate()
            .map(|(first, start)| {
                instants[first..]
                    .iter()
                    .take_while(|i| **i < *start + window)
                    .count()
            })
            .max()
            .unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_uses_the_whole_allowance_and_no_window_exceeds_it() {
        let limiter = Limiter::new(100, 1_500, 1_000);
        let start = Instant::now();
        let began = run(&limiter, 301, Duration::from_millis(50)).await;
        assert!(
            began[99] - start < Duration::from_secs(1),
            "the first hundred start immediately"
        );
        assert_eq!(most_in(Duration::from_secs(60), &began), 100);
        assert!(began[300] - start < Duration::from_secs(3 * 62));
    }

    #[tokio::test(start_paused = true)]
    async fn the_hourly_limit_holds_too() {
        let limiter = Limiter::new(100, 1_500, 1_000);
        let began = run(&limiter, 1_501, Duration::from_millis(50)).await;
        assert_eq!(most_in(Duration::from_secs(3_600), &began), 1_500);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_calls_count_until_they_end() {
        let limiter = Limiter::new(2, 1_500, 1_000);
        let began = run(&limiter, 4, Duration::from_secs(30)).await;
        assert!(began[2] - began[0] >= Duration::from_secs(30 + 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_past_the_deadline_is_refused_immediately() {
        let limiter = Limiter::new(1, 1_500, 10);
        drop(limiter.acquire(in_seconds(1)).await.unwrap());
        let before = Instant::now();
        let refused = limiter.acquire(in_seconds(20)).await.unwrap_err();
        assert_eq!(Instant::now(), before);
        assert_eq!(
            refused,
            Limited::UsedUp {
                retry_after: MINUTE
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_back_every_caller_and_wakes_those_that_cannot_wait() {
        let limiter = Limiter::new(1, 1_500, 10);
        let held = limiter.acquire(in_seconds(1)).await.unwrap();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire(in_seconds(90)).await.map(drop) }
        });
        tokio::task::yield_now().await;
        limiter.pause(Duration::from_secs(600));
        assert_eq!(
            waiting.await.unwrap(),
            Err(Limited::Paused {
                retry_after: Duration::from_secs(600)
            })
        );
        drop(held);
        let start = Instant::now();
        drop(limiter.acquire(in_seconds(700)).await.unwrap());
        assert_eq!(start.elapsed(), Duration::from_secs(600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_given_back_costs_nothing() {
        let limiter = Limiter::new(1, 1_500, 1);
        limiter.acquire(in_seconds(1)).await.unwrap().give_back();
        assert!(limiter.acquire(in_seconds(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_costs_nothing() {
        let limiter = Limiter::new(1, 1_500, 1);
        let held = limiter.acquire(in_seconds(1)).await.unwrap();
        assert_eq!(
            limiter.acquire(in_seconds(5)).await.err(),
            Some(Limited::Busy)
        );
        drop(held);
        assert!(limiter.acquire(in_seconds(61)).await.is_ok());
    }
}
