//! The embedded Microsoft cloud: an in-memory tenant behind strict servers.
//!
//! Every server listens on loopback, refuses what the real one refuses (path,
//! method, audience, role), keeps the documented limits, and can be made to
//! fail. It shares no type with the product, so that a wrong name in one cannot
//! cancel out a wrong name in the other.

mod defender;
mod estate;
mod fault;
mod identity;
mod key_vault;
mod login;
mod resource_manager;
mod tenant;
mod vdi;
mod webhook;
mod workbook;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch};

pub use estate::{Estate, subscription_id};
pub use fault::{Body, Fault};
pub use identity::IdentityBehavior;
pub use tenant::{FileRecord, Tenant, indicator};
pub use vdi::{VdiDevice, estate as vdi_estate};
pub use workbook::Workbook;

/// Secret that the identity endpoint wants in `X-IDENTITY-HEADER`.
pub const IDENTITY_HEADER: &str = "5ec2e7-identity-header";

/// Audience of the Defender for Endpoint API.
pub const DEFENDER_AUDIENCE: &str = "https://api.securitycenter.microsoft.com";

/// Audience of Azure Resource Manager.
pub const ARM_AUDIENCE: &str = "https://management.azure.com";

/// Audience of Microsoft Graph.
pub const GRAPH_AUDIENCE: &str = "https://graph.microsoft.com";

/// The tenant.
pub const TENANT_ID: &str = "5d2a6d2b-0d5e-4a8c-9a5e-3f6c1c6a9f10";

/// Object id of the managed identity.
pub const PRINCIPAL_ID: &str = "0b1e0b1e-0000-4000-8000-000000000001";

/// Audience of the product's own API.
pub const API_AUDIENCE: &str = "api://22222222-3333-4444-5555-666666666666";

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
    pub(crate) identity: IdentityBehavior,
    pub(crate) faults: Vec<Fault>,
    pub(crate) identity_calls: Vec<Call>,
    pub(crate) defender_calls: Vec<Call>,
    pub(crate) arm_calls: Vec<Call>,
    pub(crate) truth: Option<Estate>,
    /// Subscriptions that the identity may not see.
    pub(crate) hidden: HashSet<String>,
    /// Results of queries, until something changes.
    pub(crate) found: HashMap<String, Arc<Vec<serde_json::Value>>>,
    pub(crate) workbooks: Vec<Workbook>,
    pub(crate) edit_between: Option<String>,
    pub(crate) can_write_workbooks: bool,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) posted: Vec<serde_json::Value>,
    pub(crate) secret_refusals: usize,
    pub(crate) webhook_status: u16,
    /// Responses of the webhook are held back.
    pub(crate) webhook_hangs: bool,
    pub(crate) webhook_calls: usize,
    pub(crate) arm_page: usize,
    pub(crate) arm_quota: bool,
    pub(crate) graph_calls: Vec<Call>,
    pub(crate) vdi: Vec<VdiDevice>,
    pub(crate) vdi_page: usize,
    pub(crate) vdi_links: bool,
    pub(crate) hunting_capitals: bool,
    pub(crate) hunting_rows: usize,
    pub(crate) hunting_bytes: usize,
    pub(crate) tag_batches: Vec<usize>,
    /// The token that the identity gets for the product's own API.
    pub(crate) caller_token: Option<String>,
    pub(crate) tokens_issued: u64,
    pub(crate) issued: HashSet<String>,
    pub(crate) latency: Duration,
    pub(crate) limits: (usize, usize),
    pub(crate) login_status: u16,
    pub(crate) login_calls: Vec<Call>,
    pub(crate) keys_elsewhere: Option<String>,
    pub(crate) published_keys: Vec<serde_json::Value>,
    pub(crate) signing_key: Option<login::SigningKey>,
}

/// A running cloud; it ends when dropped.
#[derive(Debug)]
pub struct Sandbox {
    state: Arc<Mutex<State>>,
    defender: SocketAddr,
    identity: SocketAddr,
    login: SocketAddr,
    resource_manager: SocketAddr,
    key_vault: SocketAddr,
    webhook: SocketAddr,
    graph: SocketAddr,
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
            identity: IdentityBehavior::default(),
            faults: Vec::new(),
            identity_calls: Vec::new(),
            defender_calls: Vec::new(),
            arm_calls: Vec::new(),
            truth: None,
            hidden: HashSet::new(),
            found: HashMap::new(),
            workbooks: Vec::new(),
            edit_between: None,
            can_write_workbooks: true,
            secrets: BTreeMap::new(),
            posted: Vec::new(),
            secret_refusals: 0,
            webhook_status: 202,
            webhook_hangs: false,
            webhook_calls: 0,
            arm_page: 1_000,
            arm_quota: true,
            graph_calls: Vec::new(),
            vdi: vdi::estate(),
            vdi_page: usize::MAX,
            vdi_links: false,
            hunting_capitals: false,
            hunting_rows: 100_000,
            hunting_bytes: 50 << 20,
            tag_batches: Vec::new(),
            caller_token: None,
            tokens_issued: 0,
            issued: HashSet::new(),
            latency: Duration::ZERO,
            limits: (100, 1_500),
            login_status: 200,
            login_calls: Vec::new(),
            keys_elsewhere: None,
            published_keys: Vec::new(),
            signing_key: None,
        }));
        let (running, stopped) = watch::channel(());
        Ok(Self {
            defender: serve(defender::router(Arc::clone(&state)), stopped.clone()).await?,
            identity: serve(identity::router(Arc::clone(&state)), stopped.clone()).await?,
            login: serve(login::router(Arc::clone(&state)), stopped.clone()).await?,
            resource_manager: serve(
                resource_manager::router(Arc::clone(&state)),
                stopped.clone(),
            )
            .await?,
            key_vault: serve(key_vault::router(Arc::clone(&state)), stopped.clone()).await?,
            webhook: serve(webhook::router(Arc::clone(&state)), stopped.clone()).await?,
            graph: serve(vdi::router(Arc::clone(&state)), stopped).await?,
            state,
            _running: running,
        })
    }

    /// The environment variables that point the product here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DEFENDER_API_URL", self.defender_url()),
            ("GRAPH_URL", format!("http://{}", self.graph)),
            ("ARM_URL", format!("http://{}", self.resource_manager)),
            (
                "IDENTITY_ENDPOINT",
                format!("http://{}/msi/token", self.identity),
            ),
            ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned()),
        ]
    }

    /// The environment variables under which callers need a token of the tenant.
    pub fn entra_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("API_AUTH", "entra".to_owned()),
            ("AZURE_TENANT_ID", TENANT_ID.to_owned()),
            ("API_AUDIENCE", API_AUDIENCE.to_owned()),
            ("LOGIN_URL", self.login_url()),
        ]
    }

    /// The authority of the tenant.
    pub fn login_url(&self) -> String {
        format!("http://{}", self.login)
    }

    /// Claims of a good token of an application with these roles.
    pub fn caller_claims(&self, roles: &[&str]) -> serde_json::Value {
        login::claims(&self.login_url(), roles)
    }

    /// The id of the key that signs now, which the first use makes.
    pub fn signing_key_id(&self) -> String {
        if self.lock().signing_key.is_none() {
            self.rotate_keys();
        }
        self.lock()
            .signing_key
            .as_ref()
            .map(|key| key.id.clone())
            .unwrap_or_default()
    }

    /// A token with these claims, signed with the key that signs now.
    pub fn sign(&self, claims: &serde_json::Value) -> String {
        let header =
            serde_json::json!({ "typ": "JWT", "alg": "RS256", "kid": self.signing_key_id() });
        self.sign_with(&header, claims)
    }

    /// A token with this header, signed with RS256 whatever the header says.
    pub fn sign_with(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        self.signing_key_id();
        self.lock()
            .signing_key
            .as_ref()
            .map(|key| key.sign(header, claims))
            .unwrap_or_default()
    }

    /// Publishes a key of any shape, as the first one.
    pub fn publish_key(&self, key: serde_json::Value) {
        lock(&self.state).published_keys.insert(0, key);
    }

    /// Signs with a new key from now on, which joins the published ones.
    pub fn rotate_keys(&self) {
        let mut state = self.lock();
        if let Some(key) = login::SigningKey::generate(state.published_keys.len() + 1) {
            state.published_keys.push(key.to_jwk());
            state.signing_key = Some(key);
        }
    }

    /// Status of every answer of the authority.
    pub fn set_login_status(&self, status: u16) {
        self.lock().login_status = status;
    }

    /// Lets the metadata name keys at another authority.
    pub fn set_keys_elsewhere(&self, authority: &str) {
        self.lock().keys_elsewhere = Some(authority.to_owned());
    }

    /// The requests that the authority has received.
    pub fn login_calls(&self) -> Vec<Call> {
        self.lock().login_calls.clone()
    }

    /// Base URL of the Defender for Endpoint API.
    pub fn defender_url(&self) -> String {
        format!("http://{}", self.defender)
    }

    /// Sets the token of the identity endpoint for the product's own API.
    pub fn set_caller_token(&self, token: &str) {
        self.lock().caller_token = Some(token.to_owned());
    }

    /// A token as the managed identity gets it, for an audience.
    pub fn token(&self, audience: &str) -> String {
        identity::issue(&mut self.lock(), audience)
    }

    /// Puts a file into the tenant.
    pub fn add_file(&self, file: FileRecord) {
        self.lock().tenant.files.push(file);
    }

    /// Puts an Indicator into the tenant.
    pub fn add_indicator(&self, indicator: serde_json::Value) {
        self.lock().tenant.indicators.push(indicator);
    }

    /// Replaces the roles of the identity.
    pub fn set_roles(&self, roles: &[&str]) {
        self.lock().tenant.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    }

    /// Replaces the behavior of the identity endpoint.
    pub fn set_identity(&self, behavior: IdentityBehavior) {
        self.lock().identity = behavior;
    }

    /// Delays every answer of Defender.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Replaces the limits of calls per minute and per hour.
    pub fn set_limits(&self, per_minute: usize, per_hour: usize) {
        self.lock().limits = (per_minute, per_hour);
    }

    /// Makes Defender fail.
    ///
    /// The first fault that matches a call and is not used up answers it.
    pub fn add_fault(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The requests that Defender has received.
    pub fn defender_calls(&self) -> Vec<Call> {
        self.lock().defender_calls.clone()
    }

    /// Replaces the subscriptions, their plans and AI accounts.
    pub fn set_estate(&self, estate: Estate) {
        let mut state = self.lock();
        state.tenant.estate = estate;
        state.found.clear();
    }

    /// The number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.lock().tenant.estate.subscriptions.len()
    }

    /// Removes the identity's role on a subscription.
    pub fn hide_subscription(&self, id: &str) {
        let mut state = self.lock();
        state.hidden.insert(id.to_owned());
        state.found.clear();
    }

    /// Sets what Resource Manager returns while Resource Graph is behind.
    pub fn set_truth(&self, truth: Estate) {
        self.lock().truth = Some(truth);
    }

    /// Replaces the saved workbooks.
    pub fn set_workbooks(&self, workbooks: Vec<Workbook>) {
        let mut state = self.lock();
        state.workbooks = workbooks;
        state.found.clear();
    }

    /// The saved workbooks.
    pub fn workbooks(&self) -> Vec<Workbook> {
        self.lock().workbooks.clone()
    }

    /// Saves this content, as another person would, right after the next read.
    pub fn edit_after_next_read(&self, content: &str) {
        self.lock().edit_between = Some(content.to_owned());
    }

    /// Sets whether the identity may write workbooks.
    pub fn set_can_write_workbooks(&self, can: bool) {
        self.lock().can_write_workbooks = can;
    }

    /// The address of Key Vault, without TLS.
    pub fn key_vault(&self) -> SocketAddr {
        self.key_vault
    }

    /// Puts a secret into the vault.
    pub fn set_secret(&self, name: &str, value: &str) {
        self.lock()
            .secrets
            .insert(name.to_owned(), value.to_owned());
    }

    /// Refuses the next valid tokens of the vault's callers, so many.
    pub fn refuse_secrets(&self, times: usize) {
        self.lock().secret_refusals = times;
    }

    /// The address of the webhook, without TLS.
    pub fn webhook(&self) -> SocketAddr {
        self.webhook
    }

    /// Status of every answer of the webhook.
    pub fn set_webhook_status(&self, status: u16) {
        self.lock().webhook_status = status;
    }

    /// Lets the webhook accept messages without answering.
    pub fn hang_webhook(&self, hangs: bool) {
        self.lock().webhook_hangs = hangs;
    }

    /// The number of requests to the webhook so far.
    pub fn webhook_calls(&self) -> usize {
        self.lock().webhook_calls
    }

    /// The messages that the webhook accepted so far.
    pub fn posted(&self) -> Vec<serde_json::Value> {
        self.lock().posted.clone()
    }

    /// Makes Resource Graph return fewer rows a page than requested.
    pub fn set_graph_page(&self, rows: usize) {
        let mut state = self.lock();
        state.arm_page = rows;
        state.found.clear();
    }

    /// Sets whether Resource Graph enforces 15 queries in 5 seconds.
    pub fn set_graph_quota(&self, kept: bool) {
        self.lock().arm_quota = kept;
    }

    /// Replaces the virtual desktops.
    pub fn set_vdi(&self, devices: Vec<VdiDevice>) {
        let mut state = self.lock();
        state.vdi = devices;
    }

    /// The virtual desktops.
    pub fn vdi(&self) -> Vec<VdiDevice> {
        self.lock().vdi.clone()
    }

    /// The present time as Defender writes it.
    pub fn vdi_now(&self) -> String {
        vdi::ago(0)
    }

    /// Makes lists of machines return fewer rows a page than requested.
    ///
    /// `links` adds links to the next page.
    pub fn set_machine_page(&self, rows: usize, links: bool) {
        let mut state = self.lock();
        (state.vdi_page, state.vdi_links) = (rows, links);
    }

    /// Sets whether hunting answers `Results` in place of `results`.
    pub fn set_hunting_capitals(&self, capitals: bool) {
        self.lock().hunting_capitals = capitals;
    }

    /// Sets the maximum rows and bytes of a hunting result.
    pub fn set_hunting_limits(&self, rows: usize, bytes: usize) {
        let mut state = self.lock();
        (state.hunting_rows, state.hunting_bytes) = (rows, bytes);
    }

    /// The requests that Graph has received.
    pub fn graph_calls(&self) -> Vec<Call> {
        self.lock().graph_calls.clone()
    }

    /// Sizes of the batches that a tag was added to.
    pub fn tag_batches(&self) -> Vec<usize> {
        self.lock().tag_batches.clone()
    }

    /// The requests that Resource Manager has received.
    pub fn arm_calls(&self) -> Vec<Call> {
        self.lock().arm_calls.clone()
    }

    /// The requests that the identity endpoint has received.
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
