//! Changes between runs.

use sandbox::{Estate, Fault, subscription_id};
use serde_json::{Value, json};

use super::{FIRST, SECOND, changes, get, tick};
use crate::support::App;

#[tokio::test]
async fn a_downgrade_is_listed_first_and_confirmed() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    assert_eq!(changes(&app).await, [], "the first run is a baseline");
    let estate = Estate::contoso()
        .with_tier(1, "AI", "Free")
        .plan(4, "AI", "Standard", None);
    app.cloud.set_estate(estate.without(5).subscription(
        6,
        "=cmd|' /C calc'!A0",
        "Enabled",
        "Landing zones",
    ));
    tick(&app, SECOND).await;
    let reported = changes(&app).await;
    let reported: Vec<_> = reported
        .iter()
        .map(|(kind, id, confirmed)| (kind.as_str(), &id[id.len() - 1..], confirmed.as_str()))
        .collect();
    assert_eq!(
        reported,
        [
            ("disabled", "1", "true"),
            ("gone", "5", "true"),
            ("newlyExposed", "1", "true"),
            ("new", "6", ""),
            ("enabled", "4", ""),
        ]
    );
    let summary = get(&app, "").await.json();
    assert_eq!(
        summary["changes"],
        json!({ "disabled": 1, "gone": 1, "newlyExposed": 1, "new": 1, "enabled": 1 })
    );
    assert_eq!(summary["downgrades"][0]["change"], "disabled");
    let html = get(&app, "/coverage.html").await.text;
    assert!(html.contains("Changes") && html.contains("=cmd|"), "{html}");
    assert!(get(&app, "/changes.csv").await.text.contains("'=cmd|"));
}

#[tokio::test]
async fn what_resource_graph_has_not_seen_yet_is_not_a_downgrade() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    app.cloud.set_truth(Estate::contoso());
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    let summary = get(&app, "").await.json();
    assert_eq!(
        (&summary["staleRows"], &summary["aiOn"], &summary["changes"]),
        (&json!(1), &json!(1), &json!({}))
    );
}

#[tokio::test]
async fn a28_a_lost_grant_is_not_a_clean_up() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    app.cloud.set_truth(Estate::contoso());
    app.cloud.set_estate(Estate::contoso().without(1));
    app.cloud.add_fault(Fault {
        path: format!("/subscriptions/{}", subscription_id(1)),
        ..Fault::status(403)
    });
    tick(&app, SECOND).await;
    let summary = get(&app, "").await.json();
    assert_eq!(
        (
            &summary["complete"],
            &summary["changes"],
            &summary["aiNotReadable"]
        ),
        (&json!(false), &json!({}), &json!(1))
    );
    assert!(
        summary["reasons"][0].as_str().unwrap().contains("Reader"),
        "{summary}"
    );
    // It is still known: when it can be read again, nothing is new.
    app.cloud.clear_faults();
    app.cloud.set_estate(Estate::contoso());
    tick(&app, "2026-11-24T06:00:00+00:00").await;
    assert_eq!(changes(&app).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_resource_graph_lost_did_not_leave_the_scope() {
    let app = App::start_with(&[("COVERAGE_SCOPE", "mg:contoso-root")]).await;
    app.cloud.set_graph_quota(false);
    tick(&app, FIRST).await;
    let lost = subscription_id(2);
    app.cloud.hide_subscription(&lost);
    tick(&app, SECOND).await;
    assert_eq!(
        changes(&app).await,
        [],
        "Resource Manager has it below the group"
    );
    let summary = get(&app, "").await.json();
    assert_eq!(
        (&summary["complete"], &summary["staleRows"]),
        (&json!(false), &json!(1)),
        "{summary:#}"
    );
    let coverage = get(&app, "/coverage.csv").await.text;
    assert!(
        coverage
            .lines()
            .any(|line| line.contains(&lost) && line.contains(",NotReadable,"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s04_an_absent_list_of_subscriptions_is_not_an_empty_one() {
    for (name, faults) in [
        ("not found", vec![Fault::status(404)]),
        ("no list", vec![Fault::json("{}")]),
        ("a null", vec![Fault::json(r#"{"value":null}"#)]),
        ("an object", vec![Fault::json(r#"{"value":{}}"#)]),
        ("an array", vec![Fault::json("[]")]),
        ("a text", vec![Fault::json("\"x\"")]),
    ] {
        let app = App::start_with(&[("COVERAGE_SCOPE", "mg:contoso-root")]).await;
        app.cloud.set_graph_quota(false);
        tick(&app, FIRST).await;
        app.cloud.hide_subscription(&subscription_id(2));
        for fault in faults {
            app.cloud.add_fault(fault.on("/descendants"));
        }
        tick(&app, SECOND).await;
        assert_eq!(changes(&app).await, [], "{name}");
        let summary = get(&app, "").await.json();
        assert_eq!(summary["complete"], json!(false), "{name}: {summary:#}");
    }
}

#[tokio::test]
async fn another_scope_is_another_baseline() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    let group = [
        ("COVERAGE_SCOPE", "mg:sandbox"),
        ("REPORTS_URL", app.reports.path().to_str().unwrap()),
    ];
    let other = App::start_on(
        sandbox::Sandbox::start(sandbox::Tenant::default())
            .await
            .unwrap(),
        &group,
    )
    .await;
    tick(&other, SECOND).await;
    let summary = get(&other, "").await.json();
    assert_eq!(
        (
            &summary["subscriptions"],
            &summary["changes"],
            &summary["since"]
        ),
        (&json!(1), &json!({}), &Value::Null)
    );
}
