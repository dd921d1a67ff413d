//! The page of a report.

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
fn changes_come_before_the_totals_and_the_runs_are_a_line() {
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
    let (changed, totals) = (
        html.find("<td>gone</td>").unwrap(),
        html.find("class=\"figures\"").unwrap(),
    );
    assert!(changed < totals && html.contains("&lt;b&gt;"), "{html}");
    assert!(
        html.contains("aria-label=\"AI accounts exposed: 1, 1\""),
        "{html}"
    );
}

#[test]
fn the_page_needs_no_script_and_loads_nothing() {
    let html = render(&report("x", Vec::new()));
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    assert!(html.contains("AI account without Defender for AI"));
}
