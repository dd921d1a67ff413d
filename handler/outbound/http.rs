//! The one outgoing HTTP client: every phase has a time limit, every response a
//! size limit, redirects are not followed, and TLS is always checked.

mod failure;

use std::{sync::OnceLock, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{StatusCode, header::HeaderMap, redirect};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use failure::{chain, classify};

/// How long each phase of a call may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// Name look-up, TCP and TLS.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// The entire try.
    pub total: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(5),
            first_byte: seconds(15),
            idle: seconds(10),
            total: seconds(30),
        }
    }
}

impl TimeLimits {
    /// For answers that take minutes: large pages, and queries.
    pub fn patient() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_byte: seconds(200),
            idle: seconds(30),
            total: seconds(240),
            ..Self::default()
        }
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decompressed.
    pub body: Bytes,
}

/// The reason why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection: name look-up, refused, reset. A retry may help.
    #[error("no connection: {0}")]
    Connect(String),
    /// The peer's certificate is not valid for its name. A retry does not help.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A phase took too long. A retry may help.
    #[error("no answer in time ({0})")]
    Timeout(&'static str),
    /// The answer ended early. A retry may help.
    #[error("the answer broke off: {0}")]
    Interrupted(String),
    /// The answer is larger than it may be. A retry does not help.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The client could not be built: no certificate store.
    #[error("no HTTP client: {0}")]
    NoClient(String),
}

/// The client; it reads the certificate store at the first call, not before.
#[derive(Debug)]
pub struct HttpClient {
    limits: TimeLimits,
    proxied: OnceLock<Result<reqwest::Client, FetchError>>,
    direct: OnceLock<Result<reqwest::Client, FetchError>>,
    files: OnceLock<Result<reqwest::Client, FetchError>>,
    /// Clients that keep no connection: for https, and for http.
    single: [OnceLock<Result<reqwest::Client, FetchError>>; 2],
}

impl HttpClient {
    /// A client with these limits; costs nothing yet.
    pub fn new(limits: TimeLimits) -> Self {
        Self {
            limits,
            proxied: OnceLock::new(),
            direct: OnceLock::new(),
            files: OnceLock::new(),
            single: [OnceLock::new(), OnceLock::new()],
        }
    }

    /// The client for plain http, which never leaves by a proxy: the managed
    /// identity's endpoint and loopback addresses. For the Azure SDK.
    ///
    /// # Errors
    /// [`FetchError::NoClient`].
    pub fn direct(&self) -> Result<reqwest::Client, FetchError> {
        let build = || build(self.limits, reqwest::ClientBuilder::no_proxy);
        self.direct.get_or_init(build).clone()
    }

    /// The client for Blob storage, which takes files as they are stored: one
    /// that unpacked them would not see the length that the service sends.
    ///
    /// # Errors
    /// [`FetchError::NoClient`].
    pub fn for_files(&self) -> Result<reqwest::Client, FetchError> {
        let time = self.limits.total;
        let plain = |builder: reqwest::ClientBuilder| builder.no_gzip().timeout(time);
        self.files.get_or_init(|| build(self.limits, plain)).clone()
    }

    /// The client for the Azure SDK's calls to other services.
    ///
    /// # Errors
    /// [`FetchError::NoClient`].
    pub fn for_sdk(&self) -> Result<reqwest::Client, FetchError> {
        self.proxied
            .get_or_init(|| build(self.limits, |builder| builder))
            .clone()
    }

    fn client_for(&self, url: &Url) -> Result<reqwest::Client, FetchError> {
        if url.scheme() == "http" {
            return self.direct();
        }
        self.for_sdk()
    }

    /// Sends a request and reads the response to its end, at most `max_bytes`.
    ///
    /// # Errors
    /// [`FetchError`]; also when `deadline` comes first.
    pub async fn fetch(
        &self,
        request: reqwest::Request,
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<Response, FetchError> {
        let client = self.client_for(request.url())?;
        self.send(client, request, max_bytes, deadline).await
    }

    /// As [`Self::fetch`], on a connection that no other call uses.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn fetch_alone(
        &self,
        request: reqwest::Request,
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<Response, FetchError> {
        let is_plain = request.url().scheme() == "http";
        let alone = |builder: reqwest::ClientBuilder| {
            let builder = builder.pool_max_idle_per_host(0);
            if is_plain {
                builder.no_proxy()
            } else {
                builder
            }
        };
        let client = self.single[usize::from(is_plain)].get_or_init(|| build(self.limits, alone));
        self.send(client.clone()?, request, max_bytes, deadline)
            .await
    }

    async fn send(
        &self,
        client: reqwest::Client,
        request: reqwest::Request,
        max_bytes: usize,
        deadline: Instant,
    ) -> Result<Response, FetchError> {
        let now = Instant::now();
        let first_byte = deadline.min(now + self.limits.first_byte);
        let total = deadline.min(now + self.limits.total);
        let response = timeout_at(first_byte, client.execute(request))
            .await
            .map_err(|_| FetchError::Timeout("first byte"))?
            .map_err(|error| classify(&error))?;
        timeout_at(total, read(response, max_bytes, self.limits.idle))
            .await
            .map_err(|_| FetchError::Timeout("total"))?
    }
}

fn build(
    limits: TimeLimits,
    proxy: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, FetchError> {
    proxy(reqwest::Client::builder())
        .user_agent(concat!("defender-functions/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| FetchError::NoClient(chain(&error)))
}

async fn read(
    mut response: reqwest::Response,
    max_bytes: usize,
    idle: Duration,
) -> Result<Response, FetchError> {
    let mut body = BytesMut::new();
    loop {
        let piece = timeout(idle, response.chunk())
            .await
            .map_err(|_| FetchError::Timeout("idle"))?;
        let Some(piece) = piece.map_err(|error| classify(&error))? else {
            break;
        };
        if body.len() + piece.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response {
        status: response.status(),
        headers: response.headers().clone(),
        body: body.freeze(),
    })
}
