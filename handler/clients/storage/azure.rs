//! Blob storage under `object_store`: our HTTP client, our tokens, a limit on the
//! size of a response, and the code of a refusal.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use object_store::{
    ClientOptions, CredentialProvider, Error,
    azure::AzureCredential,
    client::{
        HttpClient as StoreHttp, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
        HttpResponse, HttpResponseBody, HttpService,
    },
};
use reqwest::{
    StatusCode,
    header::{self, HeaderValue},
};
use tokio::time::{Instant, sleep};

use super::{MAX_FILE_BYTES, STORAGE_AUDIENCE};
use crate::outbound::{Code, Failure, HttpClient, Identity, Kind, Token, retry};

/// Longest wait for a token.
const TOKEN_TIME: Duration = Duration::from_secs(20);

/// Longest time that a busy service is waited for within one operation.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Header with the code of an error.
/// Source: <https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2>
const ERROR_CODE: &str = "x-ms-error-code";

/// The status and the code of the last response that was an error, shared with the
/// store: the errors of `object_store` only have them as text.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<(u16, String)>>>);

impl Refusal {
    /// Returns true if the last error has this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.last().is_some_and(|(_, last)| last == code)
    }

    /// The status of the last error.
    pub(super) fn status(&self) -> Option<u16> {
        self.last().map(|(status, _)| status)
    }

    fn last(&self) -> Option<(u16, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, response: &HttpResponse) {
        let status = response.status();
        let refusal = (!status.is_success()).then(|| {
            let code = response.headers().get(ERROR_CODE);
            let code = code.and_then(|code| code.to_str().ok()).unwrap_or_default();
            (status.as_u16(), code.to_owned())
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// Gives the store the client of the process.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) http: Arc<HttpClient>,
    pub(super) tokens: Arc<StorageTokens>,
    pub(super) refusal: Refusal,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<StoreHttp> {
        let client = self.http.for_files().map_err(|error| Error::Generic {
            store: "client",
            source: error.into(),
        })?;
        Ok(StoreHttp::new(BoundedService {
            client,
            tokens: Arc::clone(&self.tokens),
            refusal: self.refusal.clone(),
        }))
    }
}

/// Sends the requests of the store and reads bounded responses.
#[derive(Debug)]
struct BoundedService {
    client: reqwest::Client,
    tokens: Arc<StorageTokens>,
    refusal: Refusal,
}

impl BoundedService {
    /// Sends a request; a second time with another token if the first one is refused.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut again = request.clone();
        let response = HttpService::call(&self.client, request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(authorization) = self.tokens.replace().await.map_err(ended)? else {
            return Ok(response);
        };
        again
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization);
        HttpService::call(&self.client, again).await
    }

    /// Keeps the time that a busy service asks for, which the store does not know: a
    /// short one passes here, a long one ends the call.
    async fn wait_as_asked(&self, response: &HttpResponse) -> Result<(), HttpError> {
        let is_busy = response.status() == StatusCode::TOO_MANY_REQUESTS
            || response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let wait = retry::retry_after(response.headers(), SystemTime::now());
        match wait.filter(|_| is_busy) {
            Some(wait) if wait > LONGEST_WAIT => Err(ended(busy(wait))),
            Some(wait) => {
                sleep(wait).await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// An error that the store does not try again.
fn ended(failure: Failure) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, failure)
}

fn busy(wait: Duration) -> Failure {
    let detail = "storage is busy and asks to wait; try again later";
    let cause = format!("Retry-After {} s", wait.as_secs());
    Failure::new(Kind::Throttled, Code::StorageUnavailable, detail, cause).retry_in(wait)
}

#[async_trait]
impl HttpService for BoundedService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.send(request).await?;
        self.refusal.note(&response);
        self.wait_as_asked(&response).await?;
        let limit = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
        Ok(response.map(|body| {
            let body = Limited::new(body, limit);
            HttpResponseBody::new(
                body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Decode, error)),
            )
        }))
    }
}

/// Hands the tokens of the process to the store.
#[derive(Debug)]
pub(super) struct StorageTokens {
    identity: Arc<Identity>,
    /// The token that the store has.
    last: Mutex<Option<Arc<Token>>>,
}

impl StorageTokens {
    pub(super) fn new(identity: Arc<Identity>) -> Arc<Self> {
        Arc::new(Self {
            identity,
            last: Mutex::default(),
        })
    }

    /// The header of another token than the refused one; `None` if no token was sent.
    async fn replace(&self) -> Result<Option<HeaderValue>, Failure> {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(refused) = last else {
            return Ok(None);
        };
        let deadline = Instant::now() + TOKEN_TIME;
        let token = self
            .identity
            .replace(STORAGE_AUDIENCE, &refused, deadline)
            .await?;
        self.keep(&token);
        Ok(token.authorization())
    }

    fn keep(&self, token: &Arc<Token>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(token));
    }
}

#[async_trait]
impl CredentialProvider for StorageTokens {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let deadline = Instant::now() + TOKEN_TIME;
        let token = self.identity.token(STORAGE_AUDIENCE, deadline).await;
        let token = token.map_err(|failure| Error::Generic {
            store: "identity",
            source: failure.into(),
        })?;
        self.keep(&token);
        let secret = token.secret().to_owned();
        Ok(Arc::new(AzureCredential::BearerToken(secret)))
    }
}
