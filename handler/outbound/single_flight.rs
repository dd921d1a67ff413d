//! One run of a piece of work for everyone who asks for it in the meantime.
//!
//! The work runs as a task of its own: a caller that goes away does not end it.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::sync::oneshot;

use crate::invocation;

type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// The work in progress, by key.
#[derive(Debug)]
pub struct SingleFlight<K, V: Clone> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

impl<K, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self {
            flights: Arc::default(),
        }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The result of the work for `key`: the work in progress, else `work`.
    ///
    /// `None` when the work panicked. The flag says whether the caller joined
    /// work that was already in progress.
    pub async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> (Option<V>, bool)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (flight, joined) = self.join_or_start(key, work);
        (flight.await, joined)
    }

    fn join_or_start<F>(&self, key: K, work: impl FnOnce() -> F) -> (Flight<V>, bool)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return (flight.clone(), true);
        }
        let (sender, receiver) = oneshot::channel();
        let flight = async move { receiver.await.ok() }.boxed().shared();
        flights.insert(key.clone(), flight.clone());
        let guard = FlightGuard {
            flights: Arc::clone(&self.flights),
            key,
        };
        let work = work();
        let run = async move {
            let value = work.await;
            drop(guard);
            let _ = sender.send(value);
        };
        tokio::spawn(invocation::carried(run));
        (flight, false)
    }
}

/// Takes the flight off the list, also after a panic.
struct FlightGuard<K: Eq + Hash, V: Clone> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V: Clone> Drop for FlightGuard<K, V> {
    fn drop(&mut self) {
        self.flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_thousand_callers_share_one_run() {
        let flights = SingleFlight::default();
        let runs = Arc::new(AtomicUsize::new(0));
        let callers = (0..1_000).map(|_| {
            let runs = Arc::clone(&runs);
            flights.run("key", || async move {
                tokio::task::yield_now().await;
                runs.fetch_add(1, Ordering::SeqCst)
            })
        });
        let results = futures::future::join_all(callers).await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(results.iter().all(|(value, _)| *value == Some(0)));
        assert_eq!(results.iter().filter(|(_, joined)| !joined).count(), 1);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_end_the_work_and_a_panic_frees_the_key() {
        let flights = SingleFlight::<_, usize>::default();
        let done = Arc::new(tokio::sync::Notify::new());
        let (flight, _) = flights.join_or_start("key", {
            let done = Arc::clone(&done);
            || async move {
                done.notify_one();
                7
            }
        });
        drop(flight);
        done.notified().await;
        assert_eq!(
            flights
                .run("panics", || async { panic!("on purpose") })
                .await,
            (None, false)
        );
        assert_eq!(
            flights.run("panics", || async { 1 }).await,
            (Some(1), false)
        );
    }
}
