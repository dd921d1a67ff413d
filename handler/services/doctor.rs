//! Checks that everything the settings ask for is there: the use case behind
//! `doctor` and `/api/health?deep=true`.
//!
//! Each check makes one harmless call through the same client as the work itself, so
//! that it meets the same failures. The checks write only small files where reports are
//! stored, to show that they can be written.

mod azure;
mod defender;
mod identity;

use std::{sync::Arc, time::Duration};

use functions::health::{Check, CheckState, Grantee, Health};
use futures::future::join_all;
use tokio::{sync::Mutex, task::JoinError, time::Instant};

use super::{now, workbook::WorkbookKeeper};
use crate::{
    clients::{
        defender::{
            files::FilesClient, hunting::HuntingClient, indicators::IndicatorsClient,
            machines::MachinesClient,
        },
        resource_graph::ResourceGraphClient,
        resource_manager::ResourceManagerClient,
        storage::Storage,
        webhook::Webhook,
    },
    config::{Config, ReportLocation},
    outbound::{HttpClient, Identity, Token},
};
use identity::{Look, guid};

/// Longest time for all checks.
const TIME: Duration = Duration::from_secs(25);

/// How long an answer serves other callers: each look costs calls of the quota.
const LIFE: Duration = Duration::from_secs(60);

/// The checks and what they need.
#[derive(Debug)]
pub struct Doctor {
    clients: Clients,
    config: Config,
    latest: Mutex<Option<(Instant, Health)>>,
}

/// The clients that the services use, so that checks take the same way.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) identity: Arc<Identity>,
    pub(super) files: Arc<FilesClient>,
    pub(super) indicators: Arc<IndicatorsClient>,
    pub(super) machines: Arc<MachinesClient>,
    pub(super) hunting: Arc<HuntingClient>,
    pub(super) graph: Arc<ResourceGraphClient>,
    pub(super) manager: Arc<ResourceManagerClient>,
    pub(super) workbooks: Arc<WorkbookKeeper>,
    pub(super) webhook: Arc<Webhook>,
    pub(super) http: Arc<HttpClient>,
}

impl Doctor {
    /// The checks for these settings. Asks nothing yet.
    pub(super) fn new(clients: Clients, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            clients,
            config: config.clone(),
            latest: Mutex::default(),
        })
    }

    /// The result of the last minute, or a new one.
    ///
    /// A look that has started is finished and kept, whether its caller waits or
    /// not: each costs calls of the quota.
    ///
    /// # Errors
    /// When the look ended in a panic, which was logged.
    pub async fn examine_lately(self: &Arc<Self>) -> Result<Health, JoinError> {
        let doctor = Arc::clone(self);
        tokio::spawn(async move {
            let mut latest = doctor.latest.lock().await;
            if let Some((at, health)) = &*latest
                && at.elapsed() < LIFE
            {
                return health.clone();
            }
            let health = doctor.examine().await;
            *latest = Some((Instant::now(), health.clone()));
            health
        })
        .await
    }

    /// Looks at everything now.
    pub async fn examine(&self) -> Health {
        let deadline = Instant::now() + TIME;
        let config = &self.config;
        let token = self
            .clients
            .identity
            .token(&config.resource_manager.audience, deadline)
            .await;
        let known = match &token {
            Ok(token) => Some(Arc::clone(token)),
            // Another token names the principal as well.
            Err(_) => {
                let other = self
                    .clients
                    .identity
                    .token(&config.defender.audience, deadline);
                other.await.ok()
            }
        };
        let look = Look {
            doctor: self,
            deadline,
            grantee: self.grantee(known.as_deref()),
            tenant: known.and_then(|token| guid(token.claims.tid.as_deref())),
        };
        let mut checks = vec![self.identity_line(&token)];
        checks.extend(self.unknown_settings());
        let (clock, defender, azure) =
            tokio::join!(look.clock(), look.defender(), look.azure(&token));
        checks.push(clock);
        checks.extend(defender);
        checks.extend(azure);
        Health::new(env!("CARGO_PKG_VERSION"), now(), checks)
    }

    fn grantee(&self, token: Option<&Token>) -> Grantee {
        let claims = token.map(|token| &token.claims);
        Grantee {
            object_id: claims.and_then(|claims| guid(claims.oid.as_deref())),
            is_person: claims.is_some_and(|claims| claims.scp.is_some()),
            graph_url: self
                .config
                .graph
                .url
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
        }
    }

    /// A line where the settings have names of another version, or misspelled ones.
    fn unknown_settings(&self) -> Option<Check> {
        let unknown = &self.config.unknown;
        if unknown.is_empty() {
            return None;
        }
        let lines: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = unknown.iter().map(|one| one.name.as_str()).collect();
        let check = Check::new(
            "settings",
            "Settings",
            CheckState::Missing,
            lines.join("; "),
        );
        Some(check.fix(format!(
            "correct or remove these app settings, unless another version of the app needs them: {}",
            names.join(", ")
        )))
    }

    fn storage(&self, place: &ReportLocation) -> Storage {
        Storage::new(
            place.clone(),
            Arc::clone(&self.clients.http),
            Arc::clone(&self.clients.identity),
        )
    }
}

/// Checks that do not depend on each other, in their order.
async fn all<'a>(checks: Vec<futures::future::BoxFuture<'a, Check>>) -> Vec<Check> {
    join_all(checks).await
}
