//! `coverage.html`: the report for people. It needs no script; subscriptions are
//! grouped by management group and folded, so that ten thousand open at once.

use std::collections::BTreeMap;

use super::{
    CoverageReport, PlanCoverage, PlanState, Point, Summary,
    plan::{self, AI},
};
use crate::report::{
    html::{bar, figure, page, row, sparkline, table},
    markup,
};

/// The whole page.
pub fn render(report: &CoverageReport) -> String {
    let s = &report.summary;
    let mut body = format!(
        "<p class=\"soft\">As of {}. States are those of Azure Resource Graph, which can lag behind.</p>\n",
        markup::html(&s.as_of)
    );
    if !s.complete {
        body.push_str(&incomplete(&s.reasons));
    }
    if s.subscriptions == 0 {
        body.push_str("<p class=\"warning\">No data: no subscription could be read, so nothing is known about their coverage.</p>\n");
        return page("Defender for Cloud coverage", &body);
    }
    body.push_str(&changes(report));
    body.push_str(&figures(s));
    body.push_str(&over_time(report));
    body.push_str(&exposure(report));
    body.push_str(&plans(s));
    body.push_str(&subscriptions(report));
    page("Defender for Cloud coverage", &body)
}

/// Most rows of the table of changes; the CSV has them all.
const MAX_CHANGES: usize = 1_000;

fn changes(report: &CoverageReport) -> String {
    let Some(since) = &report.summary.since else {
        return String::new();
    };
    let title = format!("<h2>Changes since {}</h2>\n", markup::html(since));
    if report.changes.is_empty() {
        return format!("{title}<p>None.</p>\n");
    }
    let rows: String = report
        .changes
        .iter()
        .take(MAX_CHANGES)
        .map(|change| {
            let confirmed = match change.confirmed {
                Some(true) => "yes",
                Some(false) => "NOT confirmed",
                None => "",
            };
            row(&[
                change.change.as_str(),
                &change.subscription_name,
                &change.subscription_id,
                &change.plan_label,
                &change.before,
                &change.after,
                confirmed,
                &change.reason,
            ])
        })
        .collect();
    let more = report.changes.len().saturating_sub(MAX_CHANGES);
    let note = if more > 0 {
        format!("<p>{more} more are in changes.csv.</p>\n")
    } else {
        String::new()
    };
    let head = [
        "Change",
        "Subscription",
        "Id",
        "Plan",
        "Before",
        "Now",
        "Confirmed by Resource Manager",
        "Note",
    ];
    let caption = "Downgrades first";
    format!("{title}{}{note}", table(caption, &head, &rows))
}

/// The line over the runs, this one last.
fn over_time(report: &CoverageReport) -> String {
    if report.history.is_empty() {
        return String::new();
    }
    let s = &report.summary;
    // A run that could not read a number is no point of its line.
    let of = |past: fn(&Point) -> Option<usize>, now: Option<usize>| -> Vec<usize> {
        let runs = report.history.iter().map(past).chain([now]);
        runs.flatten().collect()
    };
    let lines = [
        ("AI accounts exposed", of(|point| point.exposed, s.exposed)),
        (
            "subscriptions with the AI plan on",
            of(|point| Some(point.ai_on), Some(s.ai_on)),
        ),
    ];
    let items: String = lines
        .iter()
        .map(|(what, values)| {
            let now = values.last().copied().unwrap_or_default();
            format!("<li>{} {now} {what}</li>\n", sparkline(what, values))
        })
        .collect();
    format!(
        "<h2>Over the last {} runs</h2>\n<ul class=\"lines\">\n{items}</ul>\n",
        report.history.len() + 1
    )
}

fn incomplete(reasons: &[String]) -> String {
    let items: String = reasons
        .iter()
        .map(|reason| format!("<li>{}</li>", markup::html(reason)))
        .collect();
    format!(
        "<div class=\"warning\"><strong>This report is NOT complete.</strong><ul>{items}</ul></div>\n"
    )
}

fn figures(s: &Summary) -> String {
    let unclear = s.ai_not_registered + s.ai_not_listed + s.ai_not_available + s.ai_not_readable;
    let figures = [
        match s.exposed {
            Some(exposed) => figure(exposed, "AI accounts without the AI plan", exposed > 0),
            None => {
                "<li class=\"bad\"><strong>unknown</strong> AI accounts without the AI plan</li>\n"
                    .to_owned()
            }
        },
        figure(s.ai_on, "enabled subscriptions with the AI plan on", false),
        figure(s.ai_off, "enabled subscriptions with it off", s.ai_off > 0),
        figure(
            unclear,
            "not registered, listed, available or readable",
            unclear > 0,
        ),
        figure(s.paid_plans_on, "paid plans on in all", false),
        figure(
            s.disabled_subscriptions,
            "subscriptions not enabled, not counted",
            false,
        ),
    ];
    format!("<ul class=\"figures\">\n{}</ul>\n", figures.concat())
}

/// Most rows of the table of exposed subscriptions; the CSV has them all.
const MAX_EXPOSED: usize = 1_000;

fn exposure(report: &CoverageReport) -> String {
    let exposed = report.exposed();
    if exposed.is_empty() && !report.accounts_are_whole {
        return "<h2>Exposed</h2>\n<p>Not known: the AI accounts could not be read.</p>\n"
            .to_owned();
    }
    if exposed.is_empty() {
        return "<h2>Exposed</h2>\n<p>No AI account was found in a subscription whose AI plan is known not to be on.</p>\n".to_owned();
    }
    let rows: String = exposed
        .iter()
        .take(MAX_EXPOSED)
        .map(|found| {
            row(&[
                &found.subscription.name,
                &found.subscription.subscription_id,
                &found.subscription.management_group_path(),
                &found.ai_accounts.unwrap_or_default().to_string(),
                found.state.as_str(),
            ])
        })
        .collect();
    let more = exposed.len().saturating_sub(MAX_EXPOSED);
    let note = if more > 0 {
        format!("<p>{more} more are in coverage.csv.</p>\n")
    } else {
        String::new()
    };
    let head = [
        "Subscription",
        "Id",
        "Management groups",
        "AI accounts",
        "AI plan",
    ];
    let caption = "Subscriptions with Azure OpenAI or AI Services accounts while the AI plan is not on, most accounts first";
    format!("<h2>Exposed</h2>\n{}{note}", table(caption, &head, &rows))
}

/// A bar for every plan over the enabled subscriptions.
fn plans(s: &Summary) -> String {
    let enabled = s.subscriptions - s.disabled_subscriptions;
    let rows: String = s
        .plans
        .iter()
        .map(|counts| {
            let parts = PlanState::ALL.map(|state| {
                let count = counts.states.get(state.as_str()).copied();
                (state.as_str(), count.unwrap_or_default())
            });
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td></tr>\n",
                markup::html(&counts.label),
                parts[0].1,
                bar(&parts, enabled)
            )
        })
        .collect();
    let legend: String = PlanState::ALL
        .iter()
        .map(|state| {
            let word = state.as_str();
            format!("<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{word}\" width=\"10\" height=\"10\"/></svg>{word}</li>")
        })
        .collect();
    let caption = format!("Plans over {enabled} enabled subscriptions");
    format!(
        "<h2>Plans</h2>\n<ul class=\"legend\">{legend}</ul>\n{}",
        table(&caption, &["Plan", "On", "All states"], &rows)
    )
}

/// Every subscription under its nearest management group.
fn subscriptions(report: &CoverageReport) -> String {
    let mut groups: BTreeMap<String, Vec<&[PlanCoverage]>> = BTreeMap::new();
    for rows in report.by_subscription() {
        groups
            .entry(rows[0].subscription.management_group_path())
            .or_default()
            .push(rows);
    }
    let folded: String = groups
        .iter()
        .map(|(path, subscriptions)| {
            let path = if path.is_empty() {
                "no management group"
            } else {
                path
            };
            let rows: String = subscriptions
                .iter()
                .map(|rows| subscription(rows))
                .collect();
            let head = [
                "Subscription",
                "Id",
                "State",
                "AI plan",
                "AI extensions off",
                "Paid plans on",
            ];
            format!(
                "<details><summary>{} ({})</summary>\n{}</details>\n",
                markup::html(path),
                subscriptions.len(),
                table("Subscriptions by id", &head, &rows)
            )
        })
        .collect();
    format!("<h2>Subscriptions</h2>\n{folded}")
}

fn subscription(rows: &[PlanCoverage]) -> String {
    let Some(ai) = rows.iter().find(|row| &*row.plan == AI) else {
        return String::new();
    };
    let paid = |row: &&PlanCoverage| {
        row.state == PlanState::On && !plan::known(&row.plan).is_some_and(|plan| plan.is_free)
    };
    let on: Vec<&str> = rows.iter().filter(paid).map(|row| &*row.label).collect();
    row(&[
        &ai.subscription.name,
        &ai.subscription.subscription_id,
        &ai.subscription.state,
        ai.state.as_str(),
        &ai.extensions_off.join(" "),
        &on.join(", "),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::{
        AiResource, Cloud, Estate, Subscription,
        baseline::{Baseline, SubscriptionBaseline},
        confirmation::{Answer, Question},
        reconcile::{ScopeMembership, reconcile},
    };

    fn report(name: &str, gaps: Vec<String>) -> CoverageReport {
        let estate = Estate {
            subscriptions: vec![Subscription {
                subscription_id: "a".into(),
                name: name.into(),
                state: "Enabled".into(),
                ..Subscription::default()
            }],
            ai_resources: vec![AiResource {
                resource_type: "microsoft.cognitiveservices/accounts".into(),
                kind: "OpenAI".into(),
                subscription_id: "a".into(),
                ..AiResource::default()
            }],
            gaps,
            ..Estate::default()
        };
        CoverageReport::new(estate, Cloud::Public, "2026-11-23T06:00:00Z")
    }

    #[test]
    fn d03_names_are_text_in_the_page() {
        let html = render(&report(
            "</td><script>alert(1)</script>\" onload=x",
            Vec::new(),
        ));
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(1)"));
        assert!(!html.contains("\" onload"));
    }

    #[test]
    fn an_incomplete_report_says_so_first_and_one_without_data_has_no_chart() {
        let html = render(&report("x", vec!["pricings: 1 of 2 rows came".into()]));
        let (said, chart) = (
            html.find("NOT complete").unwrap(),
            html.find("class=\"figures\"").unwrap(),
        );
        assert!(said < chart && html.contains("1 of 2 rows came"));
        let empty = CoverageReport::new(Estate::default(), Cloud::Public, "");
        let html = render(&empty);
        assert!(html.contains("No data") && !html.contains("<svg class=\"bar\""));
    }

    #[test]
    fn changes_come_before_the_sums_and_the_runs_are_a_line() {
        let before = report("x", Vec::new());
        let baseline = Baseline::after(&before, None, "");
        let same = reconcile(
            before,
            &baseline,
            &BTreeMap::new(),
            &ScopeMembership::Tenant,
        );
        assert!(render(&same).contains("<p>None.</p>"));
        let mut gone = baseline;
        gone.subscriptions.insert(
            "b".into(),
            SubscriptionBaseline {
                name: "<b>".into(),
                ..SubscriptionBaseline::default()
            },
        );
        let answers = [(Question::Subscription("b".into()), Answer::NotFound)].into();
        let report = reconcile(
            report("x", Vec::new()),
            &gone,
            &answers,
            &ScopeMembership::Tenant,
        );
        let html = render(&report);
        let (told, sums) = (
            html.find("<td>gone</td>").unwrap(),
            html.find("class=\"figures\"").unwrap(),
        );
        assert!(told < sums && html.contains("&lt;b&gt;"), "{html}");
        assert!(
            html.contains("aria-label=\"AI accounts exposed: 1, 1\""),
            "{html}"
        );
    }

    #[test]
    fn the_page_needs_no_script_and_loads_nothing() {
        let html = render(&report("x", Vec::new()));
        assert!(
            !html.contains("<script") && !html.contains("http://") && !html.contains("https://")
        );
        assert!(html.contains("AI accounts without the AI plan"));
    }
}
