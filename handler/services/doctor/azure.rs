//! Checks of Resource Manager, storage, the vault and the workbooks.

use std::collections::{BTreeMap, BTreeSet};

use functions::{
    coverage::{SUBSCRIPTIONS, Subscription},
    health::{Check, CheckState, quoted},
    report::run::JSON,
};
use futures::FutureExt;

use super::{Held, Look, all};
use crate::{
    clients::{
        resource_manager::Resource,
        storage::{Created, STORAGE_AUDIENCE, Storage},
    },
    config::ReportLocation,
    outbound::{Code, Failure, Kind},
    services::now,
};

/// The content of the files that show that a place can be written.
const PROBE_TEXT: &[u8] = b"{\"writtenBy\":\"doctor\"}\n";

/// File that shows that a file can be replaced by its version, as the pointer to
/// the newest report is.
const POINTER: &str = "doctor/pointer.json";

/// The fix where the token itself is refused: no role would help.
const TOKEN_FIX: &str =
    "check ARM_AUDIENCE and the tenant of the identity; docs/configuration.md has the clouds";

/// Tries at it: another look may replace it at the same time.
const MAX_MOVES: usize = 4;

/// Subscriptions that are named when they cannot be seen.
const MAX_NAMED: usize = 5;

impl Look<'_> {
    pub(super) async fn azure(&self, token: &Held) -> Vec<Check> {
        let config = &self.doctor.config;
        let mut checks = vec![
            self.token(
                "token-resource-manager",
                "Token for Resource Manager",
                &config.resource_manager.audience,
                "ARM_AUDIENCE",
            )
            .boxed(),
        ];
        if token.is_ok() {
            checks.push(self.workbooks().boxed());
        }
        let places = [
            ("reports", "Coverage reports", &config.reports.location),
            ("latest", "Newest reports", &config.reports.latest),
            ("vdi-reports", "VDI reports", &config.vdi.reports),
        ];
        if places
            .iter()
            .any(|(_, _, place)| matches!(place, ReportLocation::Blob { .. }))
        {
            checks.push(
                self.token(
                    "token-storage",
                    "Token for storage",
                    STORAGE_AUDIENCE,
                    "REPORTS_URL",
                )
                .boxed(),
            );
        }
        for (index, (id, title, place)) in places.into_iter().enumerate() {
            if !places[..index].iter().any(|(_, _, other)| *other == place) {
                checks.push(self.place(id, title, place).boxed());
            }
        }
        checks.push(self.key_vault().boxed());
        let subscriptions = async {
            match token {
                Ok(_) => self.subscriptions().await,
                Err(_) => vec![Check::new(
                    "subscriptions",
                    "Visible subscriptions",
                    CheckState::Unreachable,
                    "they cannot be read without a token for Resource Manager",
                )],
            }
        };
        let (subscriptions, others) = tokio::join!(subscriptions, all(checks));
        let mut found = others;
        // After the token that they need.
        found.splice(1..1, subscriptions);
        found
    }

    /// How many subscriptions are seen of how many there are, and whether the
    /// plans of one can be read.
    async fn subscriptions(&self) -> Vec<Check> {
        let graph = &self.doctor.clients.graph;
        let seen = graph.read::<Subscription>(SUBSCRIPTIONS, self.deadline);
        let (seen, expected) = tokio::join!(seen, self.expected());
        let ids: BTreeSet<String> = seen
            .rows
            .iter()
            .map(|subscription| subscription.subscription_id.to_lowercase())
            .collect();
        let one = ids.first().cloned();
        let line = |state, detail: String| {
            Check::new("subscriptions", "Visible subscriptions", state, detail)
        };
        let grant = self.grant_reader(&BTreeSet::new());
        let count = match (seen.gaps.is_empty(), expected) {
            (false, _) if seen.failure == Some(Kind::Forbidden) => {
                line(CheckState::Missing, seen.gaps.join("; ")).fix(grant)
            }
            (false, _) if seen.failure == Some(Kind::Unauthorized) => {
                line(CheckState::Missing, seen.gaps.join("; ")).fix(TOKEN_FIX)
            }
            (false, _) => line(CheckState::Unreachable, seen.gaps.join("; ")),
            (true, Err(error)) => line(
                CheckState::Unreachable,
                format!("{} are visible; how many there are is not known: {}", ids.len(), error.detail),
            ),
            (true, Ok(None)) => line(
                CheckState::Missing,
                format!(
                    "{} are visible; how many there are cannot be read, because the identity does not see the management group, so some may be missing",
                    ids.len()
                ),
            )
            .fix(grant),
            (true, Ok(Some(all))) => {
                let hidden: Vec<&str> = all.difference(&ids).map(String::as_str).collect();
                let unseen = hidden.iter().map(|id| (*id).to_owned()).collect();
                let grant = self.grant_reader(&unseen);
                let detail = format!("{} of {} are visible", all.len() - hidden.len(), all.len());
                match hidden.len() {
                    0 if all.is_empty() => line(
                        CheckState::Missing,
                        format!("{} are visible, but the management groups of the scope list none", ids.len()),
                    )
                    .fix(grant),
                    0 => line(CheckState::Ok, detail),
                    number => {
                        let named = hidden[..number.min(MAX_NAMED)].join(", ");
                        let more = if number > MAX_NAMED { ", ..." } else { "" };
                        line(CheckState::Missing, format!("{detail}, not {named}{more}")).fix(grant)
                    }
                }
            }
        };
        match one {
            Some(id) => vec![count, self.plans(&id).await],
            None => vec![count],
        }
    }

    /// The subscriptions of the scope, by the management groups; `None` where the
    /// identity does not see one of them.
    async fn expected(&self) -> Result<Option<BTreeSet<String>>, Failure> {
        let scope = &self.doctor.config.coverage.scope;
        let mut all: BTreeSet<String> = scope.subscriptions().iter().cloned().collect();
        let is_tenant = scope.subscriptions().is_empty() && scope.management_groups().is_empty();
        let root = self.tenant.iter().filter(|_| is_tenant);
        for group in scope.management_groups().iter().chain(root) {
            let below = self
                .doctor
                .clients
                .manager
                .subscriptions_below(group, self.deadline);
            match below.await? {
                Some(below) => all.extend(below),
                None => return Ok(None),
            }
        }
        Ok(Some(all).filter(|_| !is_tenant || self.tenant.is_some()))
    }

    /// The commands that grant `Reader` on the scope: its groups, and those of its
    /// subscriptions that are not seen, or all of them where that is not known.
    fn grant_reader(&self, unseen: &BTreeSet<String>) -> String {
        let scope = &self.doctor.config.coverage.scope;
        let group = |name: &str| {
            let name = quoted(&format!(
                "/providers/Microsoft.Management/managementGroups/{name}"
            ));
            self.grantee.azure_role("Reader", &name)
        };
        let is_own = |id: &String| scope.subscriptions().contains(id);
        let are_below = unseen.is_empty() || !unseen.iter().all(is_own);
        let groups = scope.management_groups().iter().filter(|_| are_below);
        let groups = groups.map(|name| group(name));
        let is_unseen = |id: &&String| unseen.is_empty() || unseen.contains(*id);
        let subscriptions = scope.subscriptions().iter().filter(is_unseen).map(|id| {
            let id = quoted(&format!("/subscriptions/{id}"));
            self.grantee.azure_role("Reader", &id)
        });
        let commands: Vec<String> = groups.chain(subscriptions).collect();
        if commands.is_empty() {
            return group(self.tenant.as_deref().unwrap_or("TENANT_ID"));
        }
        commands.join("\n")
    }

    async fn plans(&self, subscription: &str) -> Check {
        let line = |state, detail: String| Check::new("plans", "Defender plans", state, detail);
        match self
            .doctor
            .clients
            .manager
            .plan(subscription, "VirtualMachines", self.deadline)
            .await
        {
            Ok(Resource::Found(_)) => line(
                CheckState::Ok,
                format!("the plans of {subscription} can be read"),
            ),
            // In the report, such a subscription is not registered.
            Ok(Resource::NotFound) => line(
                CheckState::Ok,
                format!("{subscription} answers that Defender for Cloud is not registered there"),
            ),
            Ok(Resource::Refused | Resource::Elsewhere) => line(
                CheckState::Missing,
                format!("the plans of {subscription} are refused"),
            )
            .fix(self.grant_reader(&BTreeSet::from([subscription.to_owned()]))),
            Err(failure) if failure.kind == Kind::Unauthorized => {
                line(CheckState::Missing, failure.detail).fix(TOKEN_FIX)
            }
            Err(failure) => line(CheckState::Unreachable, failure.detail),
        }
    }

    async fn workbooks(&self) -> Check {
        let line =
            |state, detail: String| Check::new("workbooks", "Coverage workbooks", state, detail);
        let (copies, gaps) = self.doctor.clients.workbooks.found(self.deadline).await;
        if !gaps.is_empty() {
            return line(CheckState::Unreachable, gaps.join("; "));
        }
        let noun = if copies.len() == 1 { "copy" } else { "copies" };
        let seen = format!("{} saved {noun} can be read", copies.len());
        if !self.doctor.clients.workbooks.repairs() {
            return line(
                CheckState::Ok,
                format!("{seen}; WORKBOOK_REPAIR is off, so none is written"),
            );
        }
        // A role is granted on a group, so one copy of each group is enough.
        let groups: BTreeMap<String, &String> = copies
            .iter()
            .map(|id| (group_of(id).to_lowercase(), id))
            .collect();
        for id in groups.into_values() {
            let may = self.doctor.clients.manager.may(
                id,
                "microsoft.insights/workbooks/write",
                self.deadline,
            );
            match may.await {
                Ok(true) => {}
                Ok(false) => {
                    let group = quoted(group_of(id));
                    return line(
                        CheckState::Missing,
                        format!("{seen}, but {id} cannot be written"),
                    )
                    .fix(self.grantee.azure_role("Workbook Contributor", &group));
                }
                Err(error) => return line(CheckState::Unreachable, error.detail),
            }
        }
        line(CheckState::Ok, format!("{seen} and written"))
    }

    /// Writes a file, and checks that no one can overwrite it unnoticed; where the
    /// pointer is stored, also that a file can be replaced by its version.
    async fn place(&self, id: &str, title: &str, place: &ReportLocation) -> Check {
        let line = |state, detail| Check::new(id, title, state, detail);
        let storage = self.doctor.storage(place);
        let has_pointer = *place == self.doctor.config.reports.latest;
        let probe = async {
            let kept = keeps_what_is_there(&storage).await?;
            let moved = !kept || !has_pointer || replaces_by_version(&storage).await?;
            Ok((kept, moved))
        };
        match tokio::time::timeout_at(self.deadline, probe).await {
            Ok(Ok((true, true))) => line(
                CheckState::Ok,
                format!("{place} takes files, and none over another one"),
            ),
            Ok(Ok((true, false))) => line(
                CheckState::Missing,
                format!("{place} keeps every file as it is, so the pointer to the newest report cannot move"),
            )
            .fix("name a container without an immutability policy in REPORTS_LATEST_URL"),
            Ok(Ok((false, _))) => line(
                CheckState::Unreachable,
                format!(
                    "{place} does not give back what was written, or took a file over another one: reports would not be safe there"
                ),
            ),
            Ok(Err(error)) => self.storage_failed(&line, place, &error),
            Err(_) => line(
                CheckState::Unreachable,
                format!("{place} did not answer in time"),
            ),
        }
    }

    fn storage_failed(
        &self,
        line: &dyn Fn(CheckState, String) -> Check,
        place: &ReportLocation,
        error: &Failure,
    ) -> Check {
        let detail = error.detail.clone();
        let ReportLocation::Blob {
            account, container, ..
        } = place
        else {
            return line(CheckState::Missing, detail)
                .fix("make the directory writable, or name another one");
        };
        match error.code {
            Code::StorageForbidden => {
                let (account, container) = (quoted(account), quoted(container));
                let scope = format!(
                    "\"$(az storage account show --name {account} --query id --output tsv)/blobServices/default/containers/{container}\""
                );
                line(CheckState::Missing, detail).fix(
                    self.grantee
                        .azure_role("Storage Blob Data Contributor", &scope),
                )
            }
            Code::StorageNoContainer => line(CheckState::Missing, detail).fix(format!(
                "az storage container create --auth-mode login --account-name {} --name {}",
                quoted(account),
                quoted(container)
            )),
            _ => line(
                CheckState::Unreachable,
                format!("{detail}; {}", error.cause),
            ),
        }
    }

    async fn key_vault(&self) -> Check {
        let line = |state, detail: String| Check::new("key-vault", "Key Vault", state, detail);
        let Some(url) = &self.doctor.config.notify.key_vault else {
            return line(CheckState::Off, "KEY_VAULT_URL is not set".to_owned());
        };
        let name = self
            .doctor
            .config
            .notify
            .webhook
            .as_deref()
            .unwrap_or_default();
        let vault = url
            .host_str()
            .unwrap_or_default()
            .split('.')
            .next()
            .unwrap_or_default();
        let asked = tokio::time::timeout_at(self.deadline, self.doctor.clients.webhook.check());
        let Ok(asked) = asked.await else {
            return line(
                CheckState::Unreachable,
                format!("{vault} did not answer in time"),
            );
        };
        let (vault, name) = (quoted(vault), quoted(name));
        match asked {
            None => line(
                CheckState::Off,
                "NOTIFY_WEBHOOK is not set, so no secret is read and no one is notified".to_owned(),
            ),
            Some(Ok(())) => line(CheckState::Ok, format!("the secret {name} holds a webhook's URL")),
            Some(Err(failure)) => match failure.code {
                Code::SecretRefused => {
                    let scope =
                        format!("\"$(az keyvault show --name {vault} --query id --output tsv)\"");
                    line(CheckState::Missing, failure.detail)
                        .fix(self.grantee.azure_role("Key Vault Secrets User", &scope))
                }
                Code::SecretMissing | Code::WebhookUnusable => {
                    line(CheckState::Missing, failure.detail).fix(format!(
                        "put the URL of the webhook into a file webhook.txt, without a line end, and: az keyvault secret set --vault-name {vault} --name {name} --file webhook.txt --encoding utf-8"
                    ))
                }
                _ => line(CheckState::Unreachable, failure.detail),
            },
        }
    }
}

/// The resource group of a resource, by its id.
fn group_of(id: &str) -> &str {
    id.split("/providers/").next().unwrap_or(id)
}

/// Returns true if a place keeps existing files.
///
/// The second write must find the file of the first one, with the same content.
/// There is one file a day, so that a new name is tried.
async fn keeps_what_is_there(storage: &Storage) -> Result<bool, Failure> {
    let today = now();
    let day = today.split('T').next().unwrap_or_default();
    let path = format!("doctor/probe-{day}.json");
    storage.create(&path, JSON, PROBE_TEXT.into()).await?;
    let again = storage.create(&path, JSON, PROBE_TEXT.into()).await?;
    let found = storage.read(&path).await?;
    let is_it = found.is_some_and(|file| file.bytes == PROBE_TEXT);
    Ok(again == Created::AlreadyThere && is_it)
}

/// Returns true if a file can be replaced by its version.
async fn replaces_by_version(storage: &Storage) -> Result<bool, Failure> {
    for _ in 0..MAX_MOVES {
        let before = storage.read(POINTER).await?;
        let was_there = before.is_some();
        let moved = storage.replace(POINTER, JSON, PROBE_TEXT.into(), before);
        match moved.await {
            Ok(true) if was_there => return Ok(true),
            Ok(_) => {}
            // A policy keeps what is there.
            Err(error) if error.code == Code::StorageUnusable => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
