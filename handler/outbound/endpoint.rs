//! A service, and an endpoint of it with limits of its own.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use url::Url;

use super::{Code, Failure, Kind, breaker::Breaker, limiter::Limiter};

/// An outside service, as messages name it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Its name in messages, such as `Microsoft Defender`.
    pub(crate) name: String,
    /// Base URL; requests to another host are refused.
    pub(crate) base: Url,
    /// The setting or option of the URL.
    pub(crate) url_setting: &'static str,
    /// Audience of its tokens; empty where requests carry none.
    pub(crate) audience: String,
    /// The setting of the audience.
    pub(crate) audience_setting: &'static str,
}

impl Service {
    /// A URL below the base: segments of the path, and the query.
    pub(crate) fn url(&self, path: &[&str], query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url.set_query(query);
        url
    }
}

/// The calls to the endpoint that a refusal (401, 403) concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusals {
    /// Every other call would be refused too.
    ConcernEveryCall,
    /// Only the resource that was asked for.
    ConcernOneResource,
}

/// A documented endpoint with limits of its own, shared by all its callers.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its name in messages, such as `the Files API`.
    pub(crate) name: &'static str,
    pub(super) limiter: Arc<Limiter>,
    pub(super) breaker: Breaker<Failure>,
    /// The failure whose response asked everyone to wait.
    pause: Mutex<Option<Failure>>,
    refusals: Refusals,
}

impl Endpoint {
    /// An endpoint with these limits.
    pub(crate) fn new(name: &'static str, limiter: Arc<Limiter>, refusals: Refusals) -> Self {
        Self {
            name,
            limiter,
            breaker: Breaker::new(),
            pause: Mutex::default(),
            refusals,
        }
    }

    /// The time until the next call is allowed; `None` if that is now.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.limiter.wait()
    }

    /// Holds every caller back, because a response asks for it.
    pub(crate) fn pause(&self, time: Duration) {
        self.limiter.pause(time);
    }

    /// Holds every caller back after a response that failed.
    pub(super) fn pause_after(&self, failure: &Failure, time: Duration) {
        *self.paused() = Some(failure.clone());
        self.limiter.pause(time);
    }

    /// The failure of a caller whose deadline is within the pause.
    pub(super) fn in_pause(&self, left: Duration) -> Failure {
        let paused = self.paused().clone();
        let failure = paused.unwrap_or_else(|| {
            let detail = format!(
                "{} asks to wait; try again later for what is missing",
                self.name
            );
            Failure::new(Kind::Throttled, Code::UpstreamThrottled, detail, "pause")
        });
        Failure {
            retry_after: Some(left),
            is_echo: true,
            ..failure
        }
    }

    /// Returns true if no response has asked everyone to wait.
    #[cfg(test)]
    pub(super) fn is_open_to_calls(&self) -> bool {
        self.paused().is_none()
    }

    fn paused(&self) -> MutexGuard<'_, Option<Failure>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens or closes the breaker after a call.
    pub(super) fn note_result<T>(&self, resource: &str, result: &Result<T, Failure>) {
        let Err(failure) = result else {
            return self.breaker.succeeded();
        };
        match failure.kind {
            // The breaker itself answered: nothing new.
            _ if failure.is_echo => {}
            Kind::Rejected => self.breaker.succeeded(),
            Kind::Unauthorized | Kind::Forbidden if self.refusals == Refusals::ConcernEveryCall => {
                self.breaker.refused(resource, failure.clone());
            }
            Kind::Unavailable => self.log_opened(self.breaker.gave_up(failure.clone())),
            _ => {}
        }
    }

    /// A try failed and may be repeated.
    pub(super) fn note_failed_try(&self, failure: &Failure) {
        if failure.kind == Kind::Unavailable && !failure.is_echo {
            self.log_opened(self.breaker.try_failed(failure.clone()));
        }
    }

    /// The deadline ended a try that had a fair time.
    pub(super) fn note_silence(&self, failure: Failure) {
        self.log_opened(self.breaker.gave_up(failure));
    }

    fn log_opened(&self, opened: bool) {
        if opened {
            tracing::warn!(
                code = "breaker_open",
                endpoint = self.name,
                "the service fails repeatedly; pausing calls"
            );
        }
    }
}
