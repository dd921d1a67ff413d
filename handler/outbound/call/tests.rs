//! Calls to a server on loopback: what is sent again, and what is said of a write.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request as HttpRequest,
    http::{Response as HttpResponse, header},
};
use reqwest::Method;
use url::Url;

use super::*;
use crate::{
    config::IdentitySource,
    outbound::{Refusals, TimeLimits, limiter::Limiter},
};

/// A response of the server; a hang never comes.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    RetryAfter(u16, u64),
    Hang,
}

struct Server {
    url: Url,
    /// The times at which calls arrived.
    calls: Arc<Mutex<Vec<Instant>>>,
    endpoint: Endpoint,
}

impl Server {
    /// A server that answers so in turn, and repeats the last answer.
    async fn start(answers: Vec<Answer>) -> Self {
        let calls: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let seen = Arc::clone(&calls);
        let respond = move |_: HttpRequest| {
            let answer = {
                let mut seen = seen.lock().unwrap();
                let answer = answers[seen.len().min(answers.len() - 1)];
                seen.push(Instant::now());
                answer
            };
            async move {
                let (status, seconds) = match answer {
                    Answer::Hang => pending().await,
                    Answer::Status(status) => (status, None),
                    Answer::RetryAfter(status, seconds) => (status, Some(seconds)),
                };
                let mut response = HttpResponse::builder().status(status);
                if let Some(seconds) = seconds {
                    response = response.header(header::RETRY_AFTER, seconds);
                }
                response.body(Body::empty()).unwrap()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(respond);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: url.parse().unwrap(),
            calls,
            endpoint: Endpoint::new(
                "the test",
                Limiter::by_responses(8),
                Refusals::ConcernOneResource,
            ),
        }
    }

    async fn call(&self, request: Request, time: Duration) -> Result<(), Failure> {
        let service = Service {
            name: "the test".to_owned(),
            base: self.url.clone(),
            url_setting: "TEST_URL",
            audience: String::new(),
            audience_setting: "TEST_URL",
        };
        let http = Arc::new(HttpClient::new(TimeLimits::default()));
        let identity = Identity::new(IdentitySource::Missing, Arc::clone(&http));
        let meaning = |reply: &Reply<'_>| match reply.status() {
            status if status.is_success() => Meaning::Done(()),
            _ => reply.standard(),
        };
        Outbound::new(service, http, identity)
            .call(&self.endpoint, &request, Instant::now() + time, meaning)
            .await
    }

    fn read(&self) -> Request {
        Request::get(self.url.clone(), 1_000).anonymous()
    }

    fn write(&self) -> Request {
        Request::write(Method::POST, self.url.clone(), 1_000).anonymous()
    }
}

#[tokio::test]
async fn a_write_that_runs_out_of_time_after_a_429_may_have_been_carried_out() {
    let server = Server::start(vec![Answer::RetryAfter(429, 0), Answer::Hang]).await;
    let failure = server.call(server.write(), Duration::from_secs(4)).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.code, Code::DeadlineExceeded);
    assert!(
        failure.detail.contains("may have been carried out"),
        "{failure}"
    );
    assert_eq!(server.calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_read_that_runs_out_of_time_after_a_429_was_throttled() {
    let server = Server::start(vec![Answer::RetryAfter(429, 0), Answer::Hang]).await;
    let failure = server.call(server.read(), Duration::from_secs(4)).await;
    assert_eq!(failure.unwrap_err().code, Code::UpstreamThrottled);
}

#[tokio::test]
async fn a_write_is_sent_once_unless_the_service_certainly_did_nothing() {
    for status in [408, 500, 502, 503, 504] {
        let server = Server::start(vec![Answer::Status(status)]).await;
        let failure = server.call(server.write(), Duration::from_secs(9)).await;
        let failure = failure.unwrap_err();
        assert!(
            failure.detail.contains("may have been carried out"),
            "{status}: {failure}"
        );
        assert_eq!(server.calls.lock().unwrap().len(), 1, "{status}");
    }
    let server = Server::start(vec![Answer::RetryAfter(429, 0), Answer::Status(204)]).await;
    assert_eq!(
        server.call(server.write(), Duration::from_secs(9)).await,
        Ok(())
    );
}

#[tokio::test]
async fn the_time_of_a_503_holds_for_every_caller() {
    let server = Server::start(vec![Answer::RetryAfter(503, 2), Answer::Status(200)]).await;
    let second = async {
        while server.calls.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // The first caller has its answer by the time of its second call at the latest.
        while server.endpoint.is_open_to_calls() {
            tokio::task::yield_now().await;
        }
        server.call(server.read(), Duration::from_secs(9)).await
    };
    let first = server.call(server.read(), Duration::from_secs(9));
    let results = tokio::join!(first, second);
    assert_eq!(results, (Ok(()), Ok(())));
    let calls = server.calls.lock().unwrap();
    let waited = |call: &Instant| call.duration_since(calls[0]);
    assert!(calls.len() == 3 && calls[1..].iter().all(|call| waited(call).as_secs() >= 2));
}

#[tokio::test]
async fn a_caller_without_time_for_the_pause_gets_the_failure_that_caused_it() {
    let server = Server::start(vec![Answer::RetryAfter(503, 60)]).await;
    for calls in [1, 1] {
        let failure = server.call(server.read(), Duration::from_secs(5)).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.code, Code::UpstreamUnavailable, "{failure}");
        assert!(failure.retry_after > Some(Duration::from_secs(50)));
        assert_eq!(server.calls.lock().unwrap().len(), calls);
    }
}
