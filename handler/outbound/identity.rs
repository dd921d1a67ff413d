//! Tokens for outside services, from the identity that the process has.
//!
//! The Azure SDK gets a token; this file decides when. A token is renewed in the
//! background at half its life and served while it is valid. Everyone who waits
//! shares one request, and no wait is longer than the caller's deadline. A token
//! that a service refused can be replaced: the cache of the SDK would return the
//! refused one, so each request uses a new credential. Life is counted on the
//! monotonic clock from receipt: a wrong wall clock costs a refresh, not an outage.

mod credential;
mod slot;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use azure_core::credentials::TokenCredential;
use azure_identity::DeveloperToolsCredential;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Code, Failure, Kind, http::HttpClient, single_flight::SingleFlight, token::Token};
use crate::config::IdentitySource;
use credential::{cause, managed};
use slot::{SlotState, TokenSlot};

pub use credential::CredentialFactory;

/// Longest wait for one token request, the SDK's retries included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// The identity of the process.
pub struct Identity {
    make_credential: CredentialFactory,
    advice: &'static str,
    slots: Mutex<HashMap<String, TokenSlot>>,
    flights: SingleFlight<String, Result<Arc<Token>, Failure>>,
}

impl Identity {
    /// The identity that the settings name. Costs nothing yet.
    pub fn new(source: IdentitySource, http: Arc<HttpClient>) -> Arc<Self> {
        match source {
            IdentitySource::Managed { client_id } => Self::from_factory(
                Box::new(move || managed(client_id.clone(), &http)),
                "check that the identity of setting `AZURE_CLIENT_ID` is assigned to the app, or that the system-assigned one is on",
            ),
            IdentitySource::DeveloperTools => Self::from_factory(
                Box::new(|| Ok(DeveloperToolsCredential::new(None)? as Arc<dyn TokenCredential>)),
                "sign in with `az login` (or `azd auth login`) and try again",
            ),
            IdentitySource::Missing => Self::from_factory(
                Box::new(|| {
                    Err(azure_core::Error::with_message(
                        azure_core::error::ErrorKind::Credential,
                        "no identity endpoint",
                    ))
                }),
                "the app has no managed identity: assign one and restart it (docs/permissions.md)",
            ),
        }
    }

    /// An identity whose credentials come from elsewhere; `advice` completes
    /// the message of a failure.
    pub fn from_factory(make_credential: CredentialFactory, advice: &'static str) -> Arc<Self> {
        Arc::new(Self {
            make_credential,
            advice,
            slots: Mutex::default(),
            flights: SingleFlight::default(),
        })
    }

    /// A valid token for an audience.
    ///
    /// # Errors
    /// [`Failure`], after `deadline` at the latest.
    pub async fn token(
        self: &Arc<Self>,
        audience: &str,
        deadline: Instant,
    ) -> Result<Arc<Token>, Failure> {
        match self.state(audience) {
            SlotState::Fresh(token) => Ok(token),
            SlotState::Ageing(token) => {
                let this = Arc::clone(self);
                let audience = audience.to_owned();
                tokio::spawn(async move { this.fetch_once(&audience).await });
                Ok(token)
            }
            SlotState::Failed(error) => Err(error),
            SlotState::Nothing => self.wait(audience, deadline).await,
        }
    }

    /// A token other than `refused`, which a service did not accept.
    ///
    /// Returns the current token if it was replaced in the last half minute.
    ///
    /// # Errors
    /// As [`Identity::token`].
    pub async fn replace(
        self: &Arc<Self>,
        audience: &str,
        refused: &Arc<Token>,
        deadline: Instant,
    ) -> Result<Arc<Token>, Failure> {
        match self.newer_than(audience, refused) {
            Some(token) => Ok(token),
            None => self.token(audience, deadline).await,
        }
    }

    async fn wait(
        self: &Arc<Self>,
        audience: &str,
        deadline: Instant,
    ) -> Result<Arc<Token>, Failure> {
        timeout_at(deadline, self.fetch_once(audience))
            .await
            .unwrap_or_else(|_| {
                Err(Failure {
                    detail: self.failure("", None).detail,
                    cause: "no token within the caller's deadline".to_owned(),
                    ..Failure::deadline()
                })
            })
    }

    async fn fetch_once(self: &Arc<Self>, audience: &str) -> Result<Arc<Token>, Failure> {
        let this = Arc::clone(self);
        let wanted = audience.to_owned();
        let (result, _) = self
            .flights
            .run(
                audience.to_owned(),
                || async move { this.fetch(&wanted).await },
            )
            .await;
        result.unwrap_or_else(|| Err(self.failure("the token request ended unexpectedly", None)))
    }

    async fn fetch(&self, audience: &str) -> Result<Arc<Token>, Failure> {
        let scope = format!("{audience}/.default");
        let request = async { (self.make_credential)()?.get_token(&[&scope], None).await };
        let result = match timeout(REQUEST_LIMIT, request).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                let (cause, status) = cause(&error);
                Err(self.failure(&cause, status))
            }
            Err(_) => Err(self.failure("no response in time", None)),
        };
        self.keep(audience, result)
    }

    fn failure(&self, cause: &str, status: Option<u16>) -> Failure {
        let detail = format!("no token from the identity: {}", self.advice);
        let code = Code::IdentityUnavailable;
        Failure {
            status,
            ..Failure::new(Kind::NoToken, code, detail, cause)
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, TokenSlot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
