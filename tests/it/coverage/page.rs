//! The page in a browser.

use sandbox::subscription_id;
use serde_json::{Value, json};

use super::{cloud, coverage};
use crate::support::{package::repository, tools};

/// Opens the page of a report in headless Chromium; returns its bars and rows.
async fn open_page(html: &str, name: &'static str) -> Value {
    let folder = repository().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.html"));
    std::fs::write(&file, html).unwrap();
    let mut node = std::process::Command::new("node");
    node.arg(tools::node_folder("browser").join("report.js"))
        .arg(file)
        .arg(folder.join(name));
    let run = move || serde_json::from_slice(&tools::run(&mut node).stdout).expect("JSON");
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_opens_in_a_browser_without_script() {
    let run = coverage(&cloud().await, &["--format", "html"], &[]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    let opened = open_page(&run.stdout, "coverage").await;
    assert_eq!(opened["bars"], 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_ten_thousand_subscriptions_opens_and_stays_below_five_megabytes() {
    let rows = |table: &str, count: usize| -> Vec<Value> {
        let row = |number: usize| match table {
            "subscriptions" => json!({
                "subscriptionId": subscription_id(number), "name": format!("Landing zone subscription {number}"), "state": "Enabled",
                "mgChain": [{ "displayName": format!("Group {}", number % 40), "name": "x" }, { "displayName": "Contoso", "name": "root" }],
            }),
            "pricings" => json!({
                "id": format!("/subscriptions/{}/providers/Microsoft.Security/pricings/AI", subscription_id(number)), "name": "AI",
                "subscriptionId": subscription_id(number), "tier": if number.is_multiple_of(2) { "Free" } else { "Standard" },
            }),
            _ => {
                json!({ "type": "microsoft.cognitiveservices/accounts", "kind": "OpenAI", "subscriptionId": subscription_id(number) })
            }
        };
        (0..count).map(row).collect()
    };
    fn read<T: serde::de::DeserializeOwned>(rows: Vec<Value>) -> Vec<T> {
        serde_json::from_value(json!(rows)).unwrap()
    }
    let estate = functions::coverage::Estate {
        subscriptions: read(rows("subscriptions", 10_000)),
        pricings: read(rows("pricings", 10_000)),
        ai_resources: read(rows("resources", 10_000)),
        ..functions::coverage::Estate::default()
    };
    let report = functions::coverage::CoverageReport::new(
        estate,
        functions::coverage::Cloud::Public,
        "2026-11-23T06:00:00Z",
    );
    let html = functions::coverage::html::render(&report);
    assert!(html.len() < 5_000_000, "{}", html.len());
    let opened = open_page(&html, "coverage-large").await;
    assert!(opened["rows"].as_u64().unwrap() > 11_000, "{opened}");
}
