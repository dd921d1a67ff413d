//! Reads the estate: scope, Resource Graph, settings of accounts.

use std::collections::{BTreeMap, BTreeSet};

use functions::coverage::{
    AI_RESOURCES, CoverageReport, Estate, PRICINGS, SUBSCRIPTIONS,
    confirmation::{Answer, Question},
    reconcile::ScopeMembership,
};
use tokio::time::Instant;

use super::Coverage;
use crate::clients::resource_graph::Rows;
use crate::services::now;

impl Coverage {
    /// Where a subscription that Resource Graph lost has to be to belong to the
    /// report. Asked only where it matters.
    pub(super) async fn within(
        &self,
        answers: &BTreeMap<Question, Answer>,
        deadline: Instant,
    ) -> ScopeMembership {
        let is_known = |answer: &Answer| matches!(answer, Answer::Subscription(_));
        if self.scope.is_empty() {
            return ScopeMembership::Tenant;
        }
        if !answers.values().any(is_known) {
            return ScopeMembership::Unknown;
        }
        let mut ids: BTreeSet<String> = self.scope.subscriptions().iter().cloned().collect();
        for group in self.scope.management_groups() {
            match self.manager.subscriptions_below(group, deadline).await {
                Ok(Some(below)) => ids.extend(below),
                Ok(None) | Err(_) => return ScopeMembership::Unknown,
            }
        }
        ScopeMembership::These(ids)
    }

    pub(super) async fn read_estate(
        &self,
        known_plans: BTreeSet<String>,
        deadline: Instant,
    ) -> CoverageReport {
        let as_of = now();
        let (subscriptions, pricings, mut ai_resources) = tokio::join!(
            self.graph.read(SUBSCRIPTIONS, deadline),
            self.graph.read(PRICINGS, deadline),
            self.graph.read(AI_RESOURCES, deadline),
        );
        if self.account_settings {
            self.read_account_settings(&mut ai_resources, deadline)
                .await;
        }
        let read = [
            (SUBSCRIPTIONS, subscriptions.gaps),
            (PRICINGS, pricings.gaps),
            (AI_RESOURCES, ai_resources.gaps),
        ];
        let partial = read.iter().filter(|(_, gaps)| !gaps.is_empty());
        let estate = Estate {
            subscriptions: subscriptions.rows,
            pricings: pricings.rows,
            ai_resources: ai_resources.rows,
            known_plans,
            partial: partial.map(|(query, _)| query.name).collect(),
            gaps: read.into_iter().flat_map(|(_, gaps)| gaps).collect(),
        };
        let mut report = CoverageReport::new(estate, self.cloud, &as_of);
        // Where nothing at all is visible, there is no report.
        if report.summary.subscriptions > 0 {
            report.add_missing_subscriptions(self.scope.subscriptions());
        }
        report
    }

    /// The setting of each AI account, as far as the time goes.
    pub(super) async fn read_account_settings(
        &self,
        resources: &mut Rows<functions::coverage::AiResource>,
        deadline: Instant,
    ) {
        let accounts = resources.rows.iter_mut().filter(|row| row.is_ai_account());
        let mut accounts: Vec<_> = accounts.collect();
        let ids = accounts.iter().map(|account| account.id.clone()).collect();
        let states: BTreeMap<String, String> = self.manager.account_settings(ids, deadline).await;
        for account in &mut accounts {
            let state = states.get(&account.id).cloned();
            account.defender_for_ai = state.unwrap_or_else(|| "NotReadable".to_owned());
        }
    }
}
