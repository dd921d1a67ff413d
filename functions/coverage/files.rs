//! The files of a report: the same report gives the same bytes.
//!
//! Names and order of the columns are a contract with whoever reads the files.

use super::{
    AiResource, Change, ChangeKind, CoverageReport, PlanCoverage, html,
    plan::{AI, PlanState},
};
use crate::report::{
    csv::{self, Column},
    run::{CSV, File, JSON},
};

/// All files of a report, in the order in which they are written. With `bom` the
/// CSV files start with the mark that Excel needs.
pub fn render(report: &CoverageReport, bom: bool) -> Vec<File> {
    let as_of = report.summary.as_of.as_str();
    let changes: Vec<_> = report
        .changes
        .iter()
        .map(|change| (as_of, change))
        .collect();
    let mark = if bom { "\u{feff}" } else { "" };
    vec![
        csv("changes.csv", mark, &change_columns(), &changes),
        csv(
            "coverage.csv",
            mark,
            &coverage_columns(),
            &with_time(report),
        ),
        csv("coverage-wide.csv", mark, &wide_columns(), &wide(report)),
        csv(
            "extensions.csv",
            mark,
            &extension_columns(),
            &extensions(report),
        ),
        csv(
            "ai-resources.csv",
            mark,
            &AI_RESOURCES,
            &report.ai_resources,
        ),
        File {
            name: "summary.json",
            content_type: JSON,
            text: serde_json::to_string_pretty(&report.summary).unwrap_or_default() + "\n",
            rows: 0,
        },
        File {
            name: "coverage.html",
            content_type: "text/html; charset=utf-8",
            text: html::render(report),
            rows: 0,
        },
    ]
}

fn csv<R>(name: &'static str, mark: &str, columns: &[Column<R>], rows: &[R]) -> File {
    File {
        name,
        content_type: CSV,
        text: csv::render_behind(mark, columns, rows),
        rows: rows.len(),
    }
}

/// `coverage.csv`: a row for each subscription and plan.
pub fn coverage(report: &CoverageReport) -> String {
    csv::render(&coverage_columns(), &with_time(report))
}

fn with_time(report: &CoverageReport) -> Vec<(&str, &PlanCoverage)> {
    let as_of = report.summary.as_of.as_str();
    report.rows.iter().map(|row| (as_of, row)).collect()
}

fn yes(flag: bool) -> String {
    flag.to_string()
}

fn portal(subscription: &str) -> String {
    format!(
        "https://portal.azure.com/#view/Microsoft_Azure_Security/PolicyMenuBlade/~/pricingTier/subscriptionId/{subscription}"
    )
}

#[rustfmt::skip]
fn coverage_columns<'a>() -> [Column<(&'a str, &'a PlanCoverage)>; 23] {
    [
    ("asOf", |(as_of, _)| (*as_of).to_owned()),
    ("tenantId", |(_, r)| r.subscription.tenant_id.clone()),
    ("subscriptionId", |(_, r)| r.subscription.subscription_id.clone()),
    ("subscriptionName", |(_, r)| r.subscription.name.clone()),
    ("subscriptionState", |(_, r)| r.subscription.state.clone()),
    ("managementGroupPath", |(_, r)| r.subscription.management_group_path()),
    ("plan", |(_, r)| r.plan.to_string()),
    ("planLabel", |(_, r)| r.label.to_string()),
    ("state", |(_, r)| r.state.as_str().to_owned()),
    ("pricingTier", |(_, r)| r.tier.clone()),
    ("subPlan", |(_, r)| r.sub_plan.clone()),
    ("resourcesCoverageStatus", |(_, r)| r.resources_coverage_status.clone()),
    ("enablementTime", |(_, r)| r.enablement_time.clone()),
    ("freeTrialRemaining", |(_, r)| r.free_trial_remaining.clone()),
    ("enforce", |(_, r)| r.enforce.map(yes).unwrap_or_default()),
    ("deprecated", |(_, r)| yes(r.deprecated)),
    ("replacedBy", |(_, r)| r.replaced_by.join(" ")),
    ("extensionsOn", |(_, r)| r.extensions_on.join(" ")),
    ("extensionsOff", |(_, r)| r.extensions_off.join(" ")),
    ("aiAccounts", |(_, r)| r.ai_accounts.map(|number| number.to_string()).unwrap_or_default()),
    ("exposed", |(_, r)| r.ai_accounts.map(|_| yes(r.exposed)).unwrap_or_default()),
    ("change", |(_, r)| r.change.map(ChangeKind::as_str).unwrap_or_default().to_owned()),
    ("portalUrl", |(_, r)| portal(&r.subscription.subscription_id)),
]
}

/// A row of the article's table: a subscription with the level of each plan.
struct Wide<'a> {
    rows: &'a [PlanCoverage],
}

impl Wide<'_> {
    /// The level as the article's query has it, without its mistake: the sub-plan or tier
    /// of a plan that is on, else `Free`; empty without a row.
    fn level(&self, name: &str) -> String {
        let row = self.rows.iter().find(|row| &*row.plan == name);
        match row {
            Some(row) if row.state != PlanState::On => row.tier.clone(),
            Some(row) if row.sub_plan.is_empty() => row.tier.clone(),
            Some(row) => row.sub_plan.clone(),
            None => String::new(),
        }
    }

    fn first(&self) -> Option<&PlanCoverage> {
        self.rows.first()
    }
}

fn wide(report: &CoverageReport) -> Vec<Wide<'_>> {
    report.by_subscription().map(|rows| Wide { rows }).collect()
}

#[rustfmt::skip]
fn wide_columns<'a>() -> [Column<Wide<'a>>; 16] {
    [
    ("subscriptionId", |w| w.first().map(|row| row.subscription.subscription_id.clone()).unwrap_or_default()),
    ("CloudPosture", |w| w.level("CloudPosture")),
    ("VirtualMachines", |w| w.level("VirtualMachines")),
    ("AppServices", |w| w.level("AppServices")),
    ("AIServices", |w| w.level(AI)),
    ("SqlServers", |w| w.level("SqlServers")),
    ("SqlServerVirtualMachines", |w| w.level("SqlServerVirtualMachines")),
    ("OpenSourceRelationalDatabases", |w| w.level("OpenSourceRelationalDatabases")),
    ("CosmosDB", |w| w.level("CosmosDbs")),
    ("StorageAccounts", |w| w.level("StorageAccounts")),
    ("Containers", |w| w.level("Containers")),
    ("KeyVaults", |w| w.level("KeyVaults")),
    ("Arm", |w| w.level("Arm")),
    ("DNS", |w| w.level("Dns")),
    ("KubernetesService", |w| w.level("KubernetesService")),
    ("ContainerRegistry", |w| w.level("ContainerRegistry")),
]
}

/// An extension of a plan in a subscription.
struct ExtensionRow<'a> {
    row: &'a PlanCoverage,
    name: &'a str,
    is_on: bool,
}

fn extensions(report: &CoverageReport) -> Vec<ExtensionRow<'_>> {
    fn of_row(row: &PlanCoverage) -> impl Iterator<Item = ExtensionRow<'_>> {
        let PlanCoverage {
            extensions_on,
            extensions_off,
            ..
        } = row;
        let on = extensions_on.iter().map(|name| (name, true));
        let off = extensions_off.iter().map(|name| (name, false));
        on.chain(off)
            .map(move |(name, is_on)| ExtensionRow { row, name, is_on })
    }
    report.rows.iter().flat_map(of_row).collect()
}

#[rustfmt::skip]
fn extension_columns<'a>() -> [Column<ExtensionRow<'a>>; 6] {
    [
    ("subscriptionId", |e| e.row.subscription.subscription_id.clone()),
    ("subscriptionName", |e| e.row.subscription.name.clone()),
    ("plan", |e| e.row.plan.to_string()),
    ("planState", |e| e.row.state.as_str().to_owned()),
    ("extension", |e| e.name.to_owned()),
    ("isOn", |e| yes(e.is_on)),
]
}

#[rustfmt::skip]
const AI_RESOURCES: [Column<AiResource>; 11] = [
    ("id", |a| a.id.clone()),
    ("name", |a| a.name.clone()),
    ("type", |a| a.resource_type.clone()),
    ("kind", |a| a.kind.clone()),
    ("isAiAccount", |a| yes(a.is_ai_account())),
    ("subscriptionId", |a| a.subscription_id.clone()),
    ("resourceGroup", |a| a.resource_group.clone()),
    ("location", |a| a.location.clone()),
    ("publicNetworkAccess", |a| a.public_network_access.clone()),
    ("disableLocalAuth", |a| a.disable_local_auth.map(yes).unwrap_or_default()),
    ("defenderForAI", |a| a.defender_for_ai.clone()),
];

#[rustfmt::skip]
fn change_columns<'a>() -> [Column<(&'a str, &'a Change)>; 13] {
    [
    ("asOf", |(as_of, _)| (*as_of).to_owned()),
    ("change", |(_, c)| c.change.as_str().to_owned()),
    ("isDowngrade", |(_, c)| yes(c.change.is_downgrade())),
    ("subscriptionId", |(_, c)| c.subscription_id.clone()),
    ("subscriptionName", |(_, c)| c.subscription_name.clone()),
    ("plan", |(_, c)| c.plan.clone()),
    ("planLabel", |(_, c)| c.plan_label.clone()),
    ("before", |(_, c)| c.before.clone()),
    ("after", |(_, c)| c.after.clone()),
    ("aiAccounts", |(_, c)| c.ai_accounts.to_string()),
    ("confirmed", |(_, c)| c.confirmed.map(yes).unwrap_or_default()),
    ("reason", |(_, c)| c.reason.clone()),
    ("portalUrl", |(_, c)| portal(&c.subscription_id)),
]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::{Cloud, Estate, Subscription};

    #[test]
    fn d01_names_are_disarmed_in_csv_and_raw_in_json() {
        let estate = Estate {
            subscriptions: vec![Subscription {
                subscription_id: "a".into(),
                name: "=cmd|' /C calc'!A0,\"x\"\r\ny".into(),
                state: "Enabled".into(),
                ..Subscription::default()
            }],
            ..Estate::default()
        };
        let report = CoverageReport::new(estate, Cloud::Public, "2026-11-23T06:00:00Z");
        let files = render(&report, true);
        let csv = &files[1].text;
        assert!(csv.starts_with("\u{feff}asOf,tenantId,"));
        assert!(
            csv.contains("\"'=cmd|' /C calc'!A0,\"\"x\"\"\r\ny\""),
            "{csv}"
        );
        assert!(
            render(&report, false)[2]
                .text
                .starts_with("subscriptionId,")
        );
        assert_eq!(files[1].rows, crate::coverage::plan::PLANS.len());
    }

    #[test]
    fn the_wide_table_has_the_level_of_what_is_on_alone() {
        let pricing = |name: &str, tier: &str, sub_plan: &str| crate::coverage::Pricing {
            id: format!("/subscriptions/a/providers/Microsoft.Security/pricings/{name}"),
            name: name.into(),
            subscription_id: "a".into(),
            tier: tier.into(),
            sub_plan: sub_plan.into(),
            ..Default::default()
        };
        let estate = Estate {
            subscriptions: vec![Subscription {
                subscription_id: "a".into(),
                state: "Enabled".into(),
                ..Subscription::default()
            }],
            pricings: vec![
                pricing("AI", "Standard", ""),
                pricing("VirtualMachines", "Free", "P2"),
                pricing("KeyVaults", "Standard", "PerKeyVault"),
            ],
            ..Estate::default()
        };
        let report = CoverageReport::new(estate, Cloud::Public, "");
        let wide = &render(&report, false)[2].text;
        let row: Vec<&str> = wide.lines().nth(1).unwrap().split(',').collect();
        assert_eq!(
            (row[2], row[4], row[11], row[12]),
            ("Free", "Standard", "PerKeyVault", "")
        );
    }
}
