//! Tokens for outside services, from the identity that the process has.
//!
//! The Azure SDK gets a token; this file decides when. A token is renewed in the
//! background at half its life and served while it is valid. Everyone who waits
//! shares one request, and no wait is longer than the caller's deadline. A token
//! that a service refused can be replaced: the cache of the SDK would return the
//! refused one, so each request uses a new credential. Life is counted on the
//! monotonic clock from receipt: a wrong wall clock costs a refresh, not an outage.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use azure_core::{
    credentials::{AccessToken, TokenCredential},
    http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport},
};
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId,
};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Code, Failure, Kind, http::HttpClient, sdk_transport::SdkTransport,
    single_flight::SingleFlight, token::Token,
};
use crate::config::IdentitySource;

/// Longest wait for one token request, the SDK's retries included.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// A token is renewed at least this long before it expires.
const EARLIEST: Duration = Duration::from_secs(300);
/// Least time between two renewals of a token for one audience.
const LEAST_INTERVAL: Duration = Duration::from_secs(30);
/// How long a failure is remembered, so that a list does not repeat it.
const FAILURE_LIFE: Duration = Duration::from_secs(5);
/// Bounds on the life that an answer may claim.
const LIFE: (Duration, Duration) = (EARLIEST, Duration::from_secs(24 * 3_600));

/// Makes the credential for one token request.
pub type CredentialFactory =
    Box<dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync>;

/// The identity of the process.
pub struct Identity {
    make_credential: CredentialFactory,
    advice: &'static str,
    slots: Mutex<HashMap<String, TokenSlot>>,
    flights: SingleFlight<String, Result<Arc<Token>, Failure>>,
}

#[derive(Default)]
struct TokenSlot {
    token: Option<(Arc<Token>, Instant)>,
    replaced: Option<Instant>,
    refresh_at: Option<Instant>,
    failure: Option<(Failure, Instant)>,
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

    /// The current token, if it is not `refused`, or if it was replaced so recently
    /// that the platform has no other one.
    fn newer_than(&self, audience: &str, refused: &Arc<Token>) -> Option<Arc<Token>> {
        let mut slots = self.lock();
        let slot = slots.get_mut(audience)?;
        let (token, _) = slot.token.as_ref()?;
        let lately = slot
            .replaced
            .is_some_and(|replaced| replaced.elapsed() < LEAST_INTERVAL);
        if lately || !Arc::ptr_eq(token, refused) {
            return Some(Arc::clone(token));
        }
        slot.replaced = Some(Instant::now());
        // No other caller should be given it.
        slot.token = None;
        None
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

    fn keep(
        &self,
        audience: &str,
        result: Result<AccessToken, Failure>,
    ) -> Result<Arc<Token>, Failure> {
        let now = Instant::now();
        let mut slots = self.lock();
        let slot = slots.entry(audience.to_owned()).or_default();
        match result {
            Ok(access) => {
                let life = Duration::try_from(access.expires_on - OffsetDateTime::now_utc())
                    .unwrap_or_default();
                let life = life.clamp(LIFE.0, LIFE.1);
                let renew = (life / 2).min(life - EARLIEST).max(LEAST_INTERVAL);
                let token = Arc::new(Token::new(access.token));
                slot.token = Some((Arc::clone(&token), now + life));
                slot.refresh_at = Some(now + renew);
                slot.failure = None;
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(
                    code = "identity_unavailable",
                    audience,
                    cause = error.cause,
                    "no token from the identity"
                );
                slot.refresh_at = Some(now + LEAST_INTERVAL);
                slot.failure = Some((error.clone(), now));
                Err(error)
            }
        }
    }

    fn state(&self, audience: &str) -> SlotState {
        let now = Instant::now();
        let slots = self.lock();
        let Some(slot) = slots.get(audience) else {
            return SlotState::Nothing;
        };
        match (&slot.token, &slot.failure) {
            (Some((token, expires)), _) if *expires > now => {
                let ageing = slot.refresh_at.is_some_and(|at| at <= now);
                if ageing {
                    SlotState::Ageing(Arc::clone(token))
                } else {
                    SlotState::Fresh(Arc::clone(token))
                }
            }
            (_, Some((error, at))) if *at + FAILURE_LIFE > now => SlotState::Failed(error.clone()),
            _ => SlotState::Nothing,
        }
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

enum SlotState {
    Fresh(Arc<Token>),
    Ageing(Arc<Token>),
    Failed(Failure),
    Nothing,
}

fn managed(
    client_id: Option<String>,
    http: &HttpClient,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let client = http
        .direct()
        .map_err(|error| azure_core::Error::new(azure_core::error::ErrorKind::Credential, error))?;
    let client_options = ClientOptions {
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            initial_delay: time::Duration::milliseconds(100),
            max_retries: 2,
            max_total_elapsed: time::Duration::seconds(15),
            max_delay: time::Duration::seconds(2),
        }),
        transport: Some(Transport::new(Arc::new(SdkTransport::new(client)))),
        ..ClientOptions::default()
    };
    let credential = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(UserAssignedId::ClientId),
        client_options,
    }))?;
    Ok(credential)
}

/// The cause and the status of a failed request, without the text of the endpoint:
/// that could hold a token.
fn cause(error: &azure_core::Error) -> (String, Option<u16>) {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(status) = error
            .downcast_ref::<azure_core::Error>()
            .and_then(azure_core::Error::http_status)
        {
            let status = u16::from(status);
            return (format!("status {status}"), Some(status));
        }
        if error.is::<serde_json::Error>() {
            return ("the response holds no token".to_owned(), None);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            let cause = if error.is_connect() {
                "no connection"
            } else {
                "no response"
            };
            return (cause.to_owned(), None);
        }
        next = error.source();
    }
    ("no usable response".to_owned(), None)
}
