//! Subscriptions and plans that the identity can read.

use std::collections::BTreeSet;

use functions::{
    coverage::{SUBSCRIPTIONS, Subscription},
    health::{Check, CheckState, quoted},
};

use super::TOKEN_FIX;
use crate::services::doctor::Look;
use crate::{
    clients::resource_manager::Resource,
    outbound::{Failure, Kind},
};

/// Subscriptions that are named when they cannot be seen.
const MAX_NAMED: usize = 5;

impl Look<'_> {
    /// How many subscriptions are seen of how many there are, and whether the
    /// plans of one can be read.
    pub(super) async fn subscriptions(&self) -> Vec<Check> {
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
    pub(super) async fn expected(&self) -> Result<Option<BTreeSet<String>>, Failure> {
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
    pub(super) fn grant_reader(&self, unseen: &BTreeSet<String>) -> String {
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

    pub(super) async fn plans(&self, subscription: &str) -> Check {
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
}
