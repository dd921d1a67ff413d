//! Checks of Resource Manager, storage, the vault and the workbooks.

mod storage;
mod subscriptions;

use std::collections::BTreeMap;

use functions::health::{Check, CheckState, quoted};
use futures::FutureExt;

use super::{Look, all, identity::Held};
use crate::{clients::storage::STORAGE_AUDIENCE, config::ReportLocation, outbound::Code};

/// The fix where the token itself is refused: no role would help.
const TOKEN_FIX: &str =
    "check ARM_AUDIENCE and the tenant of the identity; docs/configuration.md has the clouds";

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
