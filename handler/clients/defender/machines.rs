//! `GET /api/machines`, `GET /api/deviceavinfo`: lists read to their last page; and
//! tags, added in bulk.
//!
//! Pages of 10,000; `$top` is always sent, because the default of the second is 20.
//! Sources: <https://learn.microsoft.com/defender-endpoint/api/get-machines>,
//! <https://learn.microsoft.com/defender-endpoint/device-health-export-antivirus-health-report-api>,
//! <https://learn.microsoft.com/defender-endpoint/api/add-or-remove-multiple-machine-tags>

use std::{collections::HashSet, sync::Arc};

use functions::{
    desktop::DeviceTag,
    query::Source,
    vdi::{AntivirusHealth, DeviceRow, Machine},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::{DefenderClient, DefenderEndpoint, Found, unusable_answer};
use crate::{
    config::Config,
    outbound::{Code, Failure, Kind, Repeat, Request},
};

/// Largest page; a row has a few kilobytes.
const MAX_BYTES: usize = 128 << 20;

/// Rows of a page, the most that the API allows.
const PAGE: usize = 10_000;

/// Calls a minute to antivirus health.
const ANTIVIRUS_PER_MINUTE: usize = 30;

/// Pages of a list: five times what a tenant may have.
const MAX_PAGES: usize = 500;

/// Retries of a page in addition to the usual ones: a list of many pages would be lost by
/// one of them.
const MORE_RETRIES: u32 = 9;

/// Devices of a call that adds a tag.
pub const TAG_BATCH: usize = 500;

/// The machines and antivirus health of a tenant.
#[derive(Debug)]
pub struct MachinesClient {
    defender: Arc<DefenderClient>,
    machines: DefenderEndpoint,
    antivirus: DefenderEndpoint,
    tags: DefenderEndpoint,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

impl MachinesClient {
    /// The machines API of a tenant.
    pub fn new(config: &Config, defender: Arc<DefenderClient>) -> Self {
        Self {
            defender,
            machines: DefenderEndpoint::new("the list of machines", "Machine.Read.All", config),
            antivirus: DefenderEndpoint::limited(
                "antivirus health",
                "Machine.Read.All",
                ANTIVIRUS_PER_MINUTE,
                config,
            ),
            tags: DefenderEndpoint::new("machine tags", "Machine.ReadWrite.All", config),
        }
    }

    /// All machines; the tenant may hide duplicates from this list.
    pub async fn machines(&self, deadline: Instant) -> Source<Machine> {
        self.list(&self.machines, "machines", deadline).await
    }

    /// The antivirus health of all devices.
    pub async fn antivirus(&self, deadline: Instant) -> Source<AntivirusHealth> {
        self.list(&self.antivirus, "deviceavinfo", deadline).await
    }

    /// Asks for one machine.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn probe_machines(&self, deadline: Instant) -> Result<(), Failure> {
        let page = self.page::<Machine>(&self.machines, "machines", "$top=1", deadline);
        page.await.map(drop)
    }

    /// Asks for the antivirus health of one device.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn probe_antivirus(&self, deadline: Instant) -> Result<(), Failure> {
        let page =
            self.page::<AntivirusHealth>(&self.antivirus, "deviceavinfo", "$top=1", deadline);
        page.await.map(drop)
    }

    /// Adds a tag to at most [`TAG_BATCH`] devices; adding it twice does nothing.
    ///
    /// # Errors
    /// [`Failure`]; then it is not known which devices have it.
    pub async fn add_tag(
        &self,
        tag: &DeviceTag,
        ids: &[&str],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let body = json!({ "Value": tag.to_string(), "Action": "Add", "MachineIds": ids });
        let path = ["machines", "AddOrRemoveTagForMultipleMachines"];
        let url = self.defender.url(&path, None);
        let request = Request::json(Method::POST, url, &body, Repeat::Never, MAX_BYTES);
        match self.defender.call(&self.tags, &request, deadline).await? {
            Found::Yes(_) => Ok(()),
            Found::No => Err(unknown_device()),
        }
    }

    /// Every page, from the first one to the last. Rows read before an error are
    /// kept, and the error is the gap.
    async fn list<T: DeviceRow>(
        &self,
        endpoint: &DefenderEndpoint,
        name: &str,
        deadline: Instant,
    ) -> Source<T> {
        let mut rows: Vec<T> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        let mut query = format!("$top={PAGE}");
        for number in 0..MAX_PAGES {
            let page = match self.page::<T>(endpoint, name, &query, deadline).await {
                // Documented only for the first page: a tenant without machines.
                Ok(None) if number == 0 && name == "machines" => return Source { rows, gap: None },
                page => page.and_then(|page| page.ok_or_else(|| lost_page(endpoint))),
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(
                        code = error.code.as_str(),
                        cause = error.cause,
                        list = name,
                        "{}",
                        error.detail
                    );
                    return Source {
                        rows,
                        gap: Some(error.detail),
                    };
                }
            };
            let (before, count) = (rows.len(), page.value.len());
            rows.extend(
                page.value
                    .into_iter()
                    .filter(|row| known.insert(row.id().to_lowercase())),
            );
            if page.next.is_none() && count < PAGE {
                return Source { rows, gap: None };
            }
            // An empty page with a link is not the end.
            if rows.len() == before && count > 0 {
                return Source {
                    rows,
                    gap: Some("the same page came again".to_owned()),
                };
            }
            query = match page.next {
                None => format!("$top={PAGE}&$skip={}", rows.len()),
                Some(link) => match self.next(&link, name) {
                    Some(query) => query,
                    None => {
                        return Source {
                            rows,
                            gap: Some("the link to the next page leads elsewhere".to_owned()),
                        };
                    }
                },
            };
        }
        Source {
            rows,
            gap: Some(format!("there are more than {MAX_PAGES} pages")),
        }
    }

    /// The query of the next page. A link that leads to another host or path is
    /// not followed.
    fn next(&self, link: &str, name: &str) -> Option<String> {
        let base = &self.defender.outbound.service().base;
        let link = base.join(link).ok()?;
        let is_ours = |url: &Url| {
            let path = url.path().trim_end_matches('/');
            url.origin() == base.origin() && path.eq_ignore_ascii_case(&format!("/api/{name}"))
        };
        is_ours(&link).then(|| link.query().unwrap_or_default().to_owned())
    }

    async fn page<T: DeviceRow>(
        &self,
        endpoint: &DefenderEndpoint,
        name: &str,
        query: &str,
        deadline: Instant,
    ) -> Result<Option<Page<T>>, Failure> {
        let url = self.defender.url(&[name], Some(query));
        let request = Request::get(url, MAX_BYTES).with_more_retries(MORE_RETRIES);
        match self.defender.call(endpoint, &request, deadline).await? {
            Found::Yes(answer) => functions::json::read_object(&answer)
                .map(Some)
                .map_err(|_| {
                    unusable_answer(&format!("{} is not understood", endpoint.endpoint.name))
                }),
            Found::No => Ok(None),
        }
    }
}

fn lost_page(endpoint: &DefenderEndpoint) -> Failure {
    unusable_answer(&format!(
        "a page of {} was not found",
        endpoint.endpoint.name
    ))
}

/// A device that Defender does not know, or no longer knows.
fn unknown_device() -> Failure {
    let detail = "Defender does not know this device";
    Failure::new(Kind::Rejected, Code::UnknownDevice, detail, "status 404")
}
