//! Blob storage under `object_store`: our HTTP client, our tokens, a limit on the
//! size of a response, and the code of a refusal.

use std::sync::{Arc, Mutex, PoisonError};

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
use std::time::Duration;
use tokio::time::Instant;

use super::{MAX_FILE_BYTES, STORAGE_AUDIENCE};
use crate::outbound::{HttpClient, Identity};

/// Longest wait for a token.
const TOKEN_TIME: Duration = Duration::from_secs(20);

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
            refusal: self.refusal.clone(),
        }))
    }
}

/// Sends the requests of the store and reads bounded responses.
#[derive(Debug)]
struct BoundedService {
    client: reqwest::Client,
    refusal: Refusal,
}

#[async_trait]
impl HttpService for BoundedService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = HttpService::call(&self.client, request).await?;
        self.refusal.note(&response);
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
pub(super) struct Credentials(pub(super) Arc<Identity>);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let deadline = Instant::now() + TOKEN_TIME;
        let token = self.0.token(STORAGE_AUDIENCE, deadline).await;
        let token = token.map_err(|failure| Error::Generic {
            store: "identity",
            source: failure.into(),
        })?;
        let secret = token.secret().to_owned();
        Ok(Arc::new(AzureCredential::BearerToken(secret)))
    }
}
