//! The changes since an earlier report, downgrades first.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    CoverageReport, PlanCoverage, PlanState, Subscription,
    baseline::{Baseline, SubscriptionBaseline},
    plan::AI,
};

/// The kind of a change, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// A plan was on and is not any more.
    Disabled,
    /// A subscription is not there any more.
    Gone,
    /// AI accounts are exposed that were not.
    NewlyExposed,
    /// A plan that stays on has another sub-plan.
    SubPlanChanged,
    /// A plan that stays on has other extensions.
    ExtensionChanged,
    /// A subscription is there that was not.
    New,
    /// A plan is on that was not.
    Enabled,
}

impl ChangeKind {
    /// Every kind, the worst first.
    pub const ALL: [Self; 7] = [
        Self::Disabled,
        Self::Gone,
        Self::NewlyExposed,
        Self::SubPlanChanged,
        Self::ExtensionChanged,
        Self::New,
        Self::Enabled,
    ];

    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Gone => "gone",
            Self::NewlyExposed => "newlyExposed",
            Self::SubPlanChanged => "subPlanChanged",
            Self::ExtensionChanged => "extensionChanged",
            Self::New => "new",
            Self::Enabled => "enabled",
        }
    }

    /// Returns true if less is protected than before. People are notified of these, and
    /// Resource Manager is asked to confirm them.
    pub fn is_downgrade(self) -> bool {
        matches!(self, Self::Disabled | Self::Gone | Self::NewlyExposed)
    }
}

/// Something that changed. A row of `changes.csv`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CoverageChange)]
pub struct Change {
    /// The kind of the change.
    pub change: ChangeKind,
    /// The subscription.
    pub subscription_id: String,
    /// Its name.
    pub subscription_name: String,
    /// The plan; empty for a subscription.
    pub plan: String,
    /// Its name in the portal.
    pub plan_label: String,
    /// The value before.
    pub before: String,
    /// The value now.
    pub after: String,
    /// AI accounts in the subscription; 0 when that is not known.
    pub ai_accounts: usize,
    /// True if Resource Manager confirms the change, false if it does not; `None` if it was
    /// not asked.
    pub confirmed: Option<bool>,
    /// More for people; empty for nothing.
    pub reason: String,
}

impl SubscriptionBaseline {
    /// The subscription as it was known.
    pub(super) fn subscription(&self, id: &str) -> Subscription {
        Subscription {
            subscription_id: id.to_owned(),
            name: self.name.clone(),
            state: if self.is_disabled {
                "Disabled"
            } else {
                "Enabled"
            }
            .to_owned(),
            ..Subscription::default()
        }
    }
}

/// The changes of everything in the report, as Resource Graph has them.
pub(super) fn compare(report: &CoverageReport, before: &Baseline) -> Vec<Change> {
    report
        .by_subscription()
        .flat_map(|rows| {
            match before
                .subscriptions
                .get(&rows[0].subscription.subscription_id)
            {
                Some(known) => rows
                    .iter()
                    .flat_map(|row| compare_plan(row, known))
                    .collect(),
                // If the list was never complete, new subscriptions cannot be recognized.
                None if before.is_short => Vec::new(),
                None => {
                    let ai = rows.iter().find(|row| &*row.plan == AI).unwrap_or(&rows[0]);
                    let on = rows.iter().filter(|row| row.state == PlanState::On).count();
                    let new = Change {
                        plan: String::new(),
                        plan_label: String::new(),
                        ..change(ChangeKind::New, ai, String::new(), format!("{on} plans on"))
                    };
                    let exposed = ai.exposed.then(|| {
                        change(
                            ChangeKind::NewlyExposed,
                            ai,
                            String::new(),
                            ai.state.as_str().to_owned(),
                        )
                    });
                    exposed.into_iter().chain([new]).collect::<Vec<_>>()
                }
            }
        })
        .collect()
}

fn change(kind: ChangeKind, row: &PlanCoverage, before: String, after: String) -> Change {
    Change {
        change: kind,
        subscription_id: row.subscription.subscription_id.clone(),
        subscription_name: row.subscription.name.clone(),
        plan: row.plan.to_string(),
        plan_label: row.label.to_string(),
        before,
        after,
        ai_accounts: row.ai_accounts.unwrap_or_default(),
        confirmed: None,
        reason: String::new(),
    }
}

fn compare_plan(row: &PlanCoverage, known: &SubscriptionBaseline) -> Vec<Change> {
    if row.state == PlanState::NotReadable || !row.subscription.is_enabled() {
        return Vec::new();
    }
    let state = row.state.as_str().to_owned();
    let mut changes = Vec::new();
    if row.exposed && known.exposed == 0 && !known.exposure_unread {
        changes.push(change(
            ChangeKind::NewlyExposed,
            row,
            String::new(),
            state.clone(),
        ));
    }
    if known.unread.contains(&*row.plan) {
        return changes;
    }
    match (known.on.get(&*row.plan), row.state == PlanState::On) {
        (Some(_), false) => changes.push(change(
            ChangeKind::Disabled,
            row,
            "On".to_owned(),
            state.clone(),
        )),
        (None, true) => changes.push(change(
            ChangeKind::Enabled,
            row,
            String::new(),
            state.clone(),
        )),
        (Some(on), true) => {
            if on.sub_plan != row.sub_plan {
                changes.push(change(
                    ChangeKind::SubPlanChanged,
                    row,
                    on.sub_plan.clone(),
                    row.sub_plan.clone(),
                ));
            }
            if on.extensions != row.extensions_on {
                changes.push(change(
                    ChangeKind::ExtensionChanged,
                    row,
                    on.extensions.join(" "),
                    row.extensions_on.join(" "),
                ));
            }
        }
        (None, false) => {}
    }
    changes
}
