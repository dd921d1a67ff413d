//! The embedded Microsoft cloud: an in-memory tenant behind strict servers.
//!
//! Every server listens on loopback, refuses what the real one refuses (path,
//! method, audience, role), keeps the documented limits, and can be told to
//! fail. It shares no type with the product, so that a wrong name in one cannot
//! cancel out a wrong name in the other.

mod defender;
mod fault;
mod identity;
mod tenant;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch};

pub use fault::{Body, Fault};
pub use identity::IdentityBehaviour;
pub use tenant::{FileRecord, Tenant};

/// Secret that the identity endpoint wants in `X-IDENTITY-HEADER`.
pub const IDENTITY_HEADER: &str = "5ec2e7-identity-header";

/// Audience of the Defender for Endpoint API.
pub const DEFENDER_AUDIENCE: &str = "https://api.securitycenter.microsoft.com";

/// One request that a server got.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it arrived.
    pub at: Instant,
    /// Path and query.
    pub target: String,
    /// Status of the answer.
    pub status: u16,
}

/// State that all servers share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tenant: Tenant,
    pub(crate) identity: IdentityBehaviour,
    pub(crate) faults: Vec<Fault>,
    pub(crate) identity_calls: Vec<Call>,
    pub(crate) defender_calls: Vec<Call>,
    pub(crate) tokens_issued: u64,
    pub(crate) latency: Duration,
    pub(crate) limits: (usize, usize),
}

/// A running cloud; it ends when dropped.
#[derive(Debug)]
pub struct Sandbox {
    state: Arc<Mutex<State>>,
    defender: SocketAddr,
    identity: SocketAddr,
    _running: watch::Sender<()>,
}

impl Sandbox {
    /// Starts every server on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(tenant: Tenant) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            tenant,
            identity: IdentityBehaviour::default(),
            faults: Vec::new(),
            identity_calls: Vec::new(),
            defender_calls: Vec::new(),
            tokens_issued: 0,
            latency: Duration::ZERO,
            limits: (100, 1_500),
        }));
        let (running, stopped) = watch::channel(());
        Ok(Self {
            defender: serve(defender::router(Arc::clone(&state)), stopped.clone()).await?,
            identity: serve(identity::router(Arc::clone(&state)), stopped).await?,
            state,
            _running: running,
        })
    }

    /// The environment variables that point the product here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DEFENDER_API_URL", self.defender_url()),
            (
                "IDENTITY_ENDPOINT",
                format!("http://{}/msi/token", self.identity),
            ),
            ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned()),
        ]
    }

    /// Base URL of the Defender for Endpoint API.
    pub fn defender_url(&self) -> String {
        format!("http://{}", self.defender)
    }

    /// A token as the managed identity gets it, for an audience.
    pub fn token(&self, audience: &str) -> String {
        identity::issue(&mut self.lock(), audience)
    }

    /// Puts a file into the tenant.
    pub fn add_file(&self, file: FileRecord) {
        self.lock().tenant.files.push(file);
    }

    /// Replaces the roles of the identity.
    pub fn set_roles(&self, roles: &[&str]) {
        self.lock().tenant.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    }

    /// Replaces the behaviour of the identity endpoint.
    pub fn set_identity(&self, behaviour: IdentityBehaviour) {
        self.lock().identity = behaviour;
    }

    /// Delays every answer of Defender.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Replaces the limits of calls per minute and per hour.
    pub fn set_limits(&self, per_minute: usize, per_hour: usize) {
        self.lock().limits = (per_minute, per_hour);
    }

    /// Lets Defender fail: the first fault that matches a call and is not used
    /// up answers it.
    pub fn add_fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// What Defender was asked so far.
    pub fn defender_calls(&self) -> Vec<Call> {
        self.lock().defender_calls.clone()
    }

    /// What the identity endpoint was asked so far.
    pub fn identity_calls(&self) -> Vec<Call> {
        self.lock().identity_calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(router: Router, mut stopped: watch::Receiver<()>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            _ = stopped.changed() => {}
        }
    });
    Ok(address)
}
