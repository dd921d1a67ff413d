//! The coverage report, read from Azure Resource Graph by the real executable.

mod join;
mod page;

use std::time::Duration;

use sandbox::{Estate, Fault, Sandbox, Tenant, subscription_id};
use serde_json::{Value, json};

use crate::support::{app, package::repository, tools};

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr))
    }
}

async fn cloud() -> Sandbox {
    Sandbox::start(Tenant::default())
        .await
        .expect("loopback ports")
}

/// `coverage` with these arguments and settings.
async fn coverage(cloud: &Sandbox, arguments: &[&str], settings: &[(&'static str, &str)]) -> Run {
    let mut variables = cloud.variables();
    variables.extend(
        settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    let all: Vec<String> = ["coverage"]
        .iter()
        .chain(arguments)
        .map(|text| (*text).to_owned())
        .collect();
    let run = move || {
        let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
        app::run(&arguments, &variables, "")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic");
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_has_every_subscription_the_exposed_ones_first() {
    let run = coverage(&cloud().await, &[], &[]).await;
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @r"
     DEFENDER FOR AI        AI ACCOUNTS  SUBSCRIPTION                          NAME                EXTENSIONS OFF
     Off EXPOSED            2            00000000-0000-4000-8000-000000000002  Contoso Research
     NotRegistered EXPOSED  1            00000000-0000-4000-8000-000000000004  Contoso Sandbox
     On                     1            00000000-0000-4000-8000-000000000001  Contoso Production  AIPromptSharingWithPurview
     NotListed (Disabled)   0            00000000-0000-4000-8000-000000000003  Contoso Old
     NotListed              0            00000000-0000-4000-8000-000000000005  Contoso Data

    5 subscriptions (1 not enabled): Defender for AI on in 1, off in 1, not registered in 1, not listed in 1, not available in 0, not readable in 0
    3 AI accounts exposed; 5 paid plans on
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_totals_add_up_and_every_state_is_there() {
    let summary = coverage(&cloud().await, &["--format", "json"], &[])
        .await
        .json();
    let states = [
        "aiOn",
        "aiOff",
        "aiNotRegistered",
        "aiNotListed",
        "aiNotAvailable",
        "aiNotReadable",
    ];
    let counts: Vec<u64> = states.map(|state| summary[state].as_u64().unwrap()).into();
    assert_eq!(counts, [1, 1, 1, 1, 0, 0]);
    assert_eq!(
        (&summary["subscriptions"], &summary["disabledSubscriptions"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(
        (&summary["exposed"], &summary["complete"]),
        (&json!(3), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_are_written_and_never_over_others() {
    let cloud = cloud().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report").to_string_lossy().into_owned();
    let run = coverage(&cloud, &["--out", &out], &[("CSV_BOM", "false")]).await;
    assert_eq!(run.status, 0, "{}", run.stderr);
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).unwrap();
    let long = read("coverage.csv");
    assert_eq!(long.lines().count(), 1 + 5 * 18);
    let header = "asOf,tenantId,subscriptionId,subscriptionName,subscriptionState,managementGroupPath,plan,planLabel,state,pricingTier,\
                  subPlan,resourcesCoverageStatus,enablementTime,freeTrialRemaining,enforce,deprecated,replacedBy,extensionsOn,\
                  extensionsOff,aiAccounts,exposed,change,portalUrl";
    assert_eq!(long.lines().next(), Some(header));
    let wide = "subscriptionId,CloudPosture,VirtualMachines,AppServices,AIServices,SqlServers,SqlServerVirtualMachines,\
                OpenSourceRelationalDatabases,CosmosDB,StorageAccounts,Containers,KeyVaults,Arm,DNS,KubernetesService,ContainerRegistry";
    assert_eq!(read("coverage-wide.csv").lines().next(), Some(wide));
    assert!(read("extensions.csv").contains("AIPromptSharingWithPurview,false"));
    assert!(read("ai-resources.csv").contains("SpeechServices,false"));
    let again = coverage(&cloud, &["--out", &out], &[]).await;
    assert_eq!(again.status, 2);
    assert!(
        again.stderr.contains("cannot be written"),
        "{}",
        again.stderr
    );
    assert_eq!(read("coverage.csv"), long);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_read_to_the_last() {
    let cloud = cloud().await;
    cloud.set_graph_quota(false);
    cloud.set_estate(Estate::of_size(40));
    cloud.set_graph_page(100);
    let summary = coverage(&cloud, &["--format", "json"], &[]).await.json();
    assert_eq!(
        (&summary["subscriptions"], &summary["complete"]),
        (&json!(40), &json!(true))
    );
    assert_eq!(cloud.arm_calls().len(), 1 + 8 + 2);
}

/// A page of subscriptions with these fields.
fn page(fields: &Value) -> Fault {
    let mut body = json!({ "totalRecords": 1, "count": 1, "resultTruncated": "false", "data": [{ "id": "/subscriptions/a", "subscriptionId": "a", "state": "Enabled" }] });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Fault::json(&body.to_string()).on("ResourceGraph")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_an_incomplete_answer_is_reported_and_never_appears_complete() {
    for (fault, why) in [
        (page(&json!({ "totalRecords": 2 })), "1 of 2 rows came"),
        (page(&json!({ "$skipToken": "same" })), "form a loop"),
        (
            page(&json!({ "resultTruncated": "true" })),
            "cut off the response",
        ),
        (
            page(&json!({ "count": 3, "totalRecords": 3 })),
            "a different number of rows",
        ),
        (
            page(&json!({})).header("x-ms-tenant-subscription-limit-hit", "true"),
            "more subscriptions are visible",
        ),
        (
            Fault::json("{}").on("ResourceGraph"),
            "not what it documents",
        ),
    ] {
        let cloud = cloud().await;
        cloud.add_fault(fault);
        let run = coverage(&cloud, &["--format", "json"], &[]).await;
        assert_eq!(run.status, 3, "{why}: {}", run.stderr);
        assert_eq!(run.json()["complete"], false);
        assert!(
            run.json()["reasons"].to_string().contains(why),
            "{why}: {}",
            run.json()["reasons"]
        );
        assert!(run.stderr.contains("NOT complete"), "{}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_pages_without_end_are_not_followed() {
    let cloud = cloud().await;
    for token in ["one", "two", "three", "four"] {
        cloud.add_fault(page(&json!({ "$skipToken": token })).times(1));
    }
    let run = coverage(&cloud, &["--format", "json"], &[]).await;
    assert_eq!(run.status, 3);
    let reasons = run.json()["reasons"].to_string();
    assert!(
        reasons.contains("more rows came than there are"),
        "{reasons}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a27_throttling_is_waited_for_and_the_same_page_asked_again() {
    let cloud = cloud().await;
    cloud.set_graph_page(1);
    for body in [r#"{"error":{"code":"RateLimiting"}}"#, "??"] {
        let throttled = Fault::status(429)
            .body(sandbox::Body::Text(body.to_owned()))
            .header("x-ms-user-quota-remaining", "0")
            .header("x-ms-user-quota-resets-after", "00:00:01")
            .on("ResourceGraph")
            .times(1);
        cloud.add_fault(throttled);
    }
    let summary = coverage(&cloud, &["--format", "json"], &[]).await.json();
    assert_eq!(
        (&summary["subscriptions"], &summary["complete"]),
        (&json!(5), &json!(true))
    );
    let calls = cloud.arm_calls();
    let refused: Vec<_> = calls.iter().filter(|call| call.status == 429).collect();
    assert!(
        // The test adds two; with three queries in flight, two more may be too many.
        refused.len() <= 4,
        "the quota headers are obeyed before a 429 comes: {}",
        refused.len()
    );
    let gap = calls.last().unwrap().at - refused[0].at;
    assert!(gap >= Duration::from_secs(1), "{gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a28_without_a_readable_subscription_the_role_is_named() {
    let cloud = cloud().await;
    cloud.set_estate(Estate::default());
    let run = coverage(&cloud, &["--format", "json"], &[]).await;
    assert_eq!((run.status, &run.json()["subscriptions"]), (3, &json!(0)));
    assert!(run.stderr.contains("`Reader`"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scope_is_a_management_group_or_subscriptions() {
    let cloud = cloud().await;
    let one = format!("sub:{}", subscription_id(2));
    let overlapping = format!("mg:contoso-root {one}");
    for (scope, count) in [
        ("mg:sandbox", 1),
        ("mg:contoso-root", 5),
        (one.as_str(), 1),
        (overlapping.as_str(), 5),
    ] {
        let settings = [("COVERAGE_SCOPE", scope)];
        let run = coverage(&cloud, &["--format", "json"], &settings).await;
        assert_eq!(run.json()["subscriptions"], count, "{scope}");
        assert_eq!(run.json()["complete"], true, "{scope}");
    }
    let wrong = coverage(&cloud, &[], &[("COVERAGE_SCOPE", "rg:x")]).await;
    assert_eq!(wrong.status, 2);
    assert!(
        wrong.stderr.contains("`COVERAGE_SCOPE`"),
        "{}",
        wrong.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_the_scope_names_is_in_the_report_whether_it_is_visible_or_not() {
    let cloud = cloud().await;
    let scope = format!(
        "sub:{} sub:{} sub:{}",
        subscription_id(1),
        subscription_id(2),
        subscription_id(0x77)
    );
    cloud.hide_subscription(&subscription_id(2));
    let run = coverage(&cloud, &["--format", "json"], &[("COVERAGE_SCOPE", &scope)]).await;
    assert_eq!(run.status, 3, "{}", run.stderr);
    let summary = run.json();
    assert_eq!(
        (
            &summary["subscriptions"],
            &summary["aiNotReadable"],
            &summary["complete"]
        ),
        (&json!(3), &json!(2), &json!(false))
    );
    let hidden = subscription_id(2);
    assert!(
        run.stderr
            .contains("2 subscriptions in `COVERAGE_SCOPE` are not visible")
            && run.stderr.contains(&hidden),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d11_an_estate_that_cannot_be_read_is_not_reported_as_complete() {
    let cloud = cloud().await;
    cloud.add_fault(Fault::status(403).on("ResourceGraph"));
    let run = coverage(&cloud, &[], &[]).await;
    assert_eq!(run.status, 3);
    assert!(run.stdout.contains("0 subscriptions") && run.stderr.contains("NOT complete"));
}

#[test]
fn the_power_query_text_of_the_documents_parses() {
    let documents = std::fs::read_to_string(repository().join("docs/coverage.md")).unwrap();
    let text = documents.split("```powerquery").nth(1).unwrap();
    let text = text.split("```").next().unwrap();
    let check = |text: &str| {
        let folder = tools::node_folder("powerquery");
        let mut node = std::process::Command::new("node")
            .arg(folder.join("check.js"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut node.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = node.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    assert_eq!(check(text), (true, String::new()));
    assert!(!check("let x = in y").0, "the parser finds mistakes");
    for column in ["asOf", "aiAccounts", "exposed", "deprecated"] {
        assert!(text.contains(&format!("\"{column}\"")), "{column}");
    }
}
