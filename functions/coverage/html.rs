//! `coverage.html`: the report for people, drawn by `page.html`.
//!
//! It needs no script; subscriptions are grouped by management group and folded, so
//! that a page of ten thousand opens quickly.

use std::collections::BTreeMap;

use askama::Template;

use super::{
    Change, CoverageReport, PlanCoverage, PlanState, Point, Summary,
    plan::{self, AI},
};
use crate::report::html::{self, Bar, Emphasis, Figure, Line, Noun};

/// Most rows of a table; the CSV files have them all.
const MAX_ROWS: usize = 1_000;

const CHANGE_COLUMNS: [&str; 8] = [
    "Change",
    "Subscription",
    "Id",
    "Plan",
    "Before",
    "Now",
    "Confirmed by Resource Manager",
    "Note",
];

const EXPOSED_CAPTION: &str = "Subscriptions with Azure OpenAI or AI Services accounts while \
                               Defender for AI is not on, most accounts first";

const EXPOSED_COLUMNS: [&str; 5] = [
    "Subscription",
    "Id",
    "Management groups",
    "AI accounts",
    "Defender for AI",
];

const PLAN_COLUMNS: [&str; 3] = ["Plan", "On", "All states"];

const SUBSCRIPTION_COLUMNS: [&str; 6] = [
    "Subscription",
    "Id",
    "State",
    "Defender for AI",
    "AI extensions off",
    "Paid plans on",
];

#[derive(Template)]
#[template(path = "coverage/page.html")]
struct Page<'a> {
    title: &'static str,
    report: &'a CoverageReport,
    s: &'a Summary,
    exposed: Vec<&'a PlanCoverage>,
}

/// The HTML page of a report.
pub fn render(report: &CoverageReport) -> String {
    html::render(&Page {
        title: "Defender for Cloud coverage",
        report,
        s: &report.summary,
        exposed: report.exposed(),
    })
}

fn change_cells(change: &Change) -> [&str; 8] {
    [
        change.change.as_str(),
        &change.subscription_name,
        &change.subscription_id,
        &change.plan_label,
        &change.before,
        &change.after,
        match change.confirmed {
            Some(true) => "yes",
            Some(false) => "NOT confirmed",
            None => "",
        },
        &change.reason,
    ]
}

/// The lines over the runs, this one last. A run that could not read a number is not a
/// point of its line.
fn lines(report: &CoverageReport) -> [Line; 2] {
    let s = &report.summary;
    let values = |past: fn(&Point) -> Option<usize>, now: Option<usize>| {
        let runs = report.history.iter().map(past).chain([now]);
        runs.flatten().collect()
    };
    [
        Line {
            noun: Noun("AI account exposed", "AI accounts exposed"),
            values: values(|point| point.exposed, s.exposed),
        },
        Line {
            noun: Noun(
                "subscription with Defender for AI on",
                "subscriptions with Defender for AI on",
            ),
            values: values(|point| Some(point.ai_on), Some(s.ai_on)),
        },
    ]
}

fn figures(s: &Summary) -> [Figure; 6] {
    let unclear = s.ai_not_registered + s.ai_not_listed + s.ai_not_available + s.ai_not_readable;
    let figure = |noun, count, emphasis| Figure {
        noun,
        count: Some(count),
        emphasis,
    };
    [
        Figure {
            noun: Noun(
                "AI account without Defender for AI",
                "AI accounts without Defender for AI",
            ),
            count: s.exposed,
            emphasis: Emphasis::UnlessZero,
        },
        figure(
            Noun(
                "enabled subscription with Defender for AI on",
                "enabled subscriptions with Defender for AI on",
            ),
            s.ai_on,
            Emphasis::Plain,
        ),
        figure(
            Noun(
                "enabled subscription with it off",
                "enabled subscriptions with it off",
            ),
            s.ai_off,
            Emphasis::AboveZero,
        ),
        figure(
            Noun::any("not registered, listed, available or readable"),
            unclear,
            Emphasis::AboveZero,
        ),
        figure(
            Noun("paid plan on in all", "paid plans on in all"),
            s.paid_plans_on,
            Emphasis::Plain,
        ),
        figure(
            Noun(
                "subscription not enabled, not counted",
                "subscriptions not enabled, not counted",
            ),
            s.disabled_subscriptions,
            Emphasis::Plain,
        ),
    ]
}

fn exposed_cells(row: &PlanCoverage) -> [String; 5] {
    [
        row.subscription.name.clone(),
        row.subscription.subscription_id.clone(),
        row.subscription.management_group_path(),
        row.ai_accounts.unwrap_or_default().to_string(),
        row.state.as_str().to_owned(),
    ]
}

fn enabled(s: &Summary) -> usize {
    s.subscriptions - s.disabled_subscriptions
}

fn plans_caption(s: &Summary) -> String {
    match enabled(s) {
        1 => "Plans over 1 enabled subscription".to_owned(),
        count => format!("Plans over {count} enabled subscriptions"),
    }
}

/// The label of every plan, and a bar of its states over the enabled subscriptions.
fn plan_bars(s: &Summary) -> Vec<(&str, Bar)> {
    let bar = |states: &BTreeMap<&'static str, usize>| Bar {
        shares: PlanState::ALL
            .map(|state| {
                let count = states.get(state.as_str()).copied();
                (state.as_str(), count.unwrap_or_default())
            })
            .to_vec(),
        total: enabled(s),
    };
    s.plans
        .iter()
        .map(|counts| (counts.label.as_str(), bar(&counts.states)))
        .collect()
}

/// Every subscription under its nearest management group.
fn by_management_group(report: &CoverageReport) -> BTreeMap<String, Vec<&[PlanCoverage]>> {
    let mut groups: BTreeMap<String, Vec<&[PlanCoverage]>> = BTreeMap::new();
    for rows in report.by_subscription() {
        groups
            .entry(rows[0].subscription.management_group_path())
            .or_default()
            .push(rows);
    }
    groups
}

fn subscription_cells(rows: &[PlanCoverage]) -> Option<[String; 6]> {
    let ai = rows.iter().find(|row| &*row.plan == AI)?;
    let is_paid = |row: &&PlanCoverage| {
        row.state == PlanState::On && !plan::known(&row.plan).is_some_and(|plan| plan.is_free)
    };
    let on: Vec<&str> = rows.iter().filter(is_paid).map(|row| &*row.label).collect();
    Some([
        ai.subscription.name.clone(),
        ai.subscription.subscription_id.clone(),
        ai.subscription.state.clone(),
        ai.state.as_str().to_owned(),
        ai.extensions_off.join(" "),
        on.join(", "),
    ])
}

#[cfg(test)]
mod tests;
