//! The join against another engine.

use sandbox::subscription_id;
use serde_json::{Value, json};

use crate::support::{package::repository, tools};

/// A random estate: rows as both engines read them.
fn random_estate(random: &mut fastrand::Rng) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let (mut subscriptions, mut pricings, mut resources) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..random.usize(1..120) {
        let id = subscription_id(number);
        subscriptions.push(json!({ "subscriptionId": id, "state": "Enabled" }));
        for plan in ["AI", "VirtualMachines", "Api"] {
            if random.u8(..3) > 0 {
                let tier = ["Free", "Standard"][random.usize(..2)];
                pricings.push(json!({
                    "id": format!("/subscriptions/{id}/providers/Microsoft.Security/pricings/{plan}"),
                    "type": "microsoft.security/pricings", "name": plan, "subscriptionId": id, "tier": tier,
                    "properties": { "pricingTier": tier },
                }));
            }
        }
        for account in 0..random.usize(..4) {
            let kind = ["OpenAI", "openai", "AIServices", "SpeechServices"][random.usize(..4)];
            resources.push(json!({
                "id": format!("{id}/{account}"), "type": "microsoft.cognitiveservices/accounts", "kind": kind, "subscriptionId": id,
            }));
        }
    }
    (subscriptions, pricings, resources)
}

/// The other engine's result for the query that people use.
fn asked_elsewhere(pricings: &[Value], resources: &[Value]) -> Vec<(String, u64)> {
    let query = functions::coverage::EXPOSURE.text;
    let tables = json!({ "resources": resources, "securityresources": pricings });
    let mut python = tools::python_command("kql", "python")
        .arg(repository().join("tests/kql/exposure.py"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python runs");
    let asked = json!({ "query": query, "tables": tables }).to_string();
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), asked.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &Value| row["subscriptionId"].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row), row["aiAccounts"].as_u64().unwrap()))
        .collect()
}

#[test]
fn the_join_agrees_with_another_engine_on_random_estates() {
    for seed in 1..=6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (subscriptions, pricings, resources) = random_estate(&mut random);
        if pricings.is_empty() || resources.is_empty() {
            continue;
        }
        let expected = asked_elsewhere(&pricings, &resources);
        let estate = functions::coverage::Estate {
            subscriptions: serde_json::from_value(json!(subscriptions)).unwrap(),
            pricings: serde_json::from_value(json!(pricings)).unwrap(),
            ai_resources: serde_json::from_value(json!(resources)).unwrap(),
            ..functions::coverage::Estate::default()
        };
        let cloud = functions::coverage::Cloud::Public;
        let report = functions::coverage::CoverageReport::new(estate, cloud, "");
        let mut found: Vec<(String, u64)> = report
            .exposed()
            .iter()
            .map(|row| {
                (
                    row.subscription.subscription_id.clone(),
                    row.ai_accounts.unwrap() as u64,
                )
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "seed {seed}");
        assert!(!expected.is_empty());
    }
}
