//! The use cases: fetch, limit, remember, decide. One for all triggers.

pub mod coverage;
pub mod doctor;
pub mod hashes;
mod ready_answers;
pub mod reports;
pub mod vdi;
mod verdict_cache;
pub mod workbook;

use std::sync::Arc;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clients::{
        defender::{
            DefenderClient, files::FilesClient, hunting::HuntingClient,
            indicators::IndicatorsClient, machines::MachinesClient,
        },
        resource_graph::ResourceGraphClient,
        resource_manager::ResourceManagerClient,
        webhook::Webhook,
    },
    config::{Config, ImageDefaults},
    outbound::{HttpClient, Identity, TimeLimits},
};
use doctor::{Clients, Doctor};
use reports::{History, delivery::Delivery};

pub use verdict_cache::{CachedAnswer, VerdictCache};

/// The use cases that a route, a command or a timer may use.
#[derive(Clone, Debug)]
pub struct Services {
    /// Checks of everything that is needed.
    pub doctor: Arc<Doctor>,
    /// Verdicts on file hashes.
    pub hashes: Arc<hashes::HashLookup>,
    /// Coverage of Defender plans.
    pub coverage: Arc<coverage::Coverage>,
    /// The hygiene report of virtual desktops.
    pub vdi: Arc<vdi::Vdi>,
    /// The expected properties of golden images.
    pub image: Arc<ImageDefaults>,
    /// The AI column of saved Coverage workbooks.
    pub workbooks: Arc<workbook::WorkbookKeeper>,
}

impl Services {
    /// The services for these settings. Opens no connection and gets no token:
    /// that happens at the first use.
    pub fn new(config: &Config, http: Arc<HttpClient>) -> Self {
        let identity = Identity::new(config.identity.clone(), Arc::clone(&http));
        Self::with(config, http, identity)
    }

    /// The services with this client and this identity.
    pub fn with(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let both = || (Arc::clone(&http), Arc::clone(&identity));
        let graph = Arc::new(ResourceGraphClient::new(config, both().0, both().1));
        let manager = Arc::new(ResourceManagerClient::new(config, both().0, both().1));
        let webhook = Arc::new(Webhook::new(config, both().0, both().1));
        let history = |name, location| {
            History::new(name, location, config, &http, &identity)
                .with_delivery(Delivery::notice(Arc::clone(&webhook)))
        };
        let coverage_history = history("coverage", config.reports.location.clone());
        let vdi_history = history("vdi", config.vdi.reports.clone());
        let workbooks = workbook::WorkbookKeeper::new(
            config,
            Arc::clone(&graph),
            Arc::clone(&manager),
            both().0,
            both().1,
        );
        // Hunting takes up to three minutes, and a page of 10,000 machines its time.
        let patient = Arc::new(HttpClient::new(TimeLimits::patient()));
        let slow = DefenderClient::new(config, Arc::clone(&patient), Arc::clone(&identity));
        let hunting = HuntingClient::new(config, patient, Arc::clone(&identity));
        let defender = DefenderClient::new(config, Arc::clone(&http), Arc::clone(&identity));
        let clients = Clients {
            files: Arc::new(FilesClient::new(config, Arc::clone(&defender))),
            indicators: Arc::new(IndicatorsClient::new(config, defender)),
            machines: Arc::new(MachinesClient::new(config, slow)),
            hunting: Arc::new(hunting),
            graph: Arc::clone(&graph),
            manager: Arc::clone(&manager),
            workbooks: Arc::clone(&workbooks),
            identity,
            webhook,
            http,
        };
        let vdi = vdi::Vdi::new(
            Arc::clone(&clients.hunting),
            Arc::clone(&clients.machines),
            vdi_history,
            config,
        );
        let (files, indicators) = (Arc::clone(&clients.files), Arc::clone(&clients.indicators));
        Self {
            doctor: Doctor::new(clients, config),
            hashes: hashes::HashLookup::new(files, indicators, config),
            coverage: coverage::Coverage::new(graph, manager, coverage_history, config),
            vdi,
            image: Arc::new(config.vdi.image_defaults()),
            workbooks,
        }
    }
}

/// The present time, RFC 3339 in UTC, to the second.
pub fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

/// The day in UTC, as a number.
pub fn today() -> i32 {
    OffsetDateTime::now_utc().to_julian_day()
}

/// The beginning of the day after a number of days, RFC 3339 in UTC.
pub fn midnight_in_days(days: i64) -> String {
    let day = OffsetDateTime::now_utc() + time::Duration::days(days);
    rfc3339(day.replace_time(time::Time::MIDNIGHT))
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0)
        .unwrap_or(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}
