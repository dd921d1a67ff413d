//! The history of the coverage report: the files that the timer, the route and the
//! command write into a directory, and their messages.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sandbox::{Body, Estate, Fault, subscription_id};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{self, Answer},
    host::ClientRequest,
    tls,
};

/// An invocation of a timer for this occurrence.
fn occurrence(next: &str) -> Value {
    json!({ "Data": { "timer": { "Schedule": {}, "ScheduleStatus": { "Last": "2020-01-01T00:00:00+00:00", "Next": next }, "IsPastDue": true } },
            "Metadata": { "sys": { "MethodName": "coverage_report" } } })
}

/// Runs the timer function for an occurrence; returns its log line.
async fn tick(app: &App, next: &str) -> String {
    let done = app.host.invoke("coverage_report", &occurrence(next)).await;
    done.expect("no failed invocation").logs.concat()
}

async fn get(app: &App, file: &str) -> Answer {
    app.send(ClientRequest::get(&format!("/api/coverage{file}")))
        .await
}

async fn run_now(app: &App) -> Answer {
    app.send(ClientRequest::post("/api/coverage", "")).await
}

/// Every file below a folder, with its bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    files
}

/// The changes in the newest run: kind, subscription, confirmed.
async fn changes(app: &App) -> Vec<(String, String, String)> {
    let text = get(app, "/changes.csv").await.text;
    let cell = |row: &[&str], at: usize| row[at].to_owned();
    text.lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|row| (cell(&row, 1), cell(&row, 3), cell(&row, 10)))
        .collect()
}

const FIRST: &str = "2026-11-22T06:00:00+00:00";
const SECOND: &str = "2026-11-23T06:00:00+00:00";
const THIRD: &str = "2026-11-24T06:00:00+00:00";
const FOURTH: &str = "2026-11-25T06:00:00+00:00";

#[tokio::test]
async fn b01_a_doubled_timer_changes_nothing() {
    let app = App::start().await;
    assert_eq!(
        tick(&app, FIRST).await,
        "run 20261122T060000Z is written, complete"
    );
    let before = tree(app.reports.path());
    assert_eq!(
        tick(&app, FIRST).await,
        "run 20261122T060000Z was already done"
    );
    assert_eq!(tree(app.reports.path()), before);
    let names: Vec<&str> = before
        .keys()
        .map(|path| path.rsplit('/').next().unwrap())
        .collect();
    let wanted = [
        "20261122T060000Z.json",
        "ai-resources.csv",
        "baseline.json",
        "changes.csv",
        "coverage-wide.csv",
        "coverage.csv",
        "coverage.html",
        "extensions.csv",
        "manifest.json",
        "summary.json",
        "coverage.json",
    ];
    assert_eq!(names, wanted);
    let folder = before.keys().nth(1).unwrap();
    assert!(
        folder.starts_with("history/coverage/year=2026/month=11/day=22/run=20261122T060000Z-"),
        "{folder}"
    );
    let bytes: std::collections::BTreeSet<&Vec<u8>> = before
        .iter()
        .filter(|(name, _)| {
            name.ends_with("manifest.json") || name.contains("runs/") || name.starts_with("latest/")
        })
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(bytes.len(), 1, "manifest, record and pointer are the same");
}

#[tokio::test]
async fn the_newest_report_is_served_file_by_file() {
    let app = App::start().await;
    assert_eq!(get(&app, "").await.problem(404), "no_report");
    let summary = run_now(&app).await;
    assert_eq!(summary.status, 200, "{summary:?}");
    assert_eq!(
        (&summary.json()["exposed"], &summary.json()["complete"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(get(&app, "").await.json(), summary.json());
    assert_eq!(get(&app, "/Summary.json").await.json(), summary.json());
    let csv = get(&app, "/coverage.csv").await;
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(csv.text.lines().count(), 1 + 5 * 18);
    let html = get(&app, "/coverage.html").await;
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        html.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let manifest = get(&app, "/manifest.json").await.json();
    let file = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["name"] == "coverage.csv")
        .unwrap();
    assert_eq!(
        (&file["rows"], &file["bytes"]),
        (&json!(90), &json!(csv.text.len()))
    );
    assert_eq!(
        csv.header("etag").unwrap().trim_matches('"'),
        file["sha256"].as_str().unwrap()
    );
    assert_eq!(manifest["queries"].as_object().unwrap().len(), 3);
    assert_eq!(get(&app, "/../secret").await.problem(404), "not_found");
    assert_eq!(get(&app, "/nothing.csv").await.problem(404), "no_such_file");
    assert_eq!(
        app.send(ClientRequest::post("/api/coverage/summary.json", ""))
            .await
            .problem(405),
        "method_not_allowed"
    );
    let delete = ClientRequest {
        method: "DELETE",
        ..ClientRequest::get("/api/coverage")
    };
    assert_eq!(app.send(delete).await.problem(405), "method_not_allowed");
    assert_eq!(
        get(&app, "?format=csv").await.problem(400),
        "unknown_parameter"
    );
}

#[tokio::test]
async fn reading_and_running_need_their_own_roles() {
    let app = App::start_guarded(&[]).await;
    for (roles, read, run) in [
        (&["Hashes.Read"][..], 403, 403),
        (&["Reports.Read"], 404, 403),
        (&["Reports.Run"], 403, 200),
    ] {
        let token = format!("Bearer {}", app.cloud.sign(&app.cloud.caller_claims(roles)));
        let headers = [("authorization", token.as_str())];
        let get = app
            .send(ClientRequest::get("/api/coverage").with(&headers))
            .await;
        assert_eq!(get.status, read, "{get:?}");
        let post = app
            .send(ClientRequest::post("/api/coverage", "").with(&headers))
            .await;
        assert_eq!(post.status, run, "{post:?}");
        if run == 403 {
            assert!(post.text.contains("Reports.Run"), "{post:?}");
        }
    }
}

#[tokio::test]
async fn only_one_run_is_active_at_a_time() {
    let app = App::start().await;
    app.cloud.add_fault(Fault {
        times: Some(1),
        delay: Duration::from_secs(2),
        ..Fault::status(500)
    });
    let (one, other) = tokio::join!(run_now(&app), run_now(&app));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let refused = if one.status == 409 { one } else { other };
    assert_eq!(refused.problem(409), "run_in_progress");
    assert!(refused.header("retry-after").is_some());
}

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

#[tokio::test]
async fn nothing_is_written_when_nothing_can_be_read() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    let before = tree(app.reports.path());
    app.cloud.add_fault(Fault {
        path: "ResourceGraph".into(),
        ..Fault::status(403)
    });
    assert_eq!(run_now(&app).await.problem(502), "nothing_readable");
    let failed = app
        .host
        .invoke("coverage_report", &occurrence(SECOND))
        .await;
    assert!(failed.is_err(), "the host counts it as a failed invocation");
    assert_eq!(tree(app.reports.path()), before);
    assert_eq!(get(&app, "").await.status, 200);
}

#[tokio::test]
async fn d11_an_estate_without_anything_says_so() {
    let app = App::start().await;
    app.cloud
        .set_estate(Estate::default().subscription(1, "Empty", "Enabled", "Root"));
    tick(&app, FIRST).await;
    assert_eq!(get(&app, "/ai-resources.csv").await.text.lines().count(), 1);
    let html = get(&app, "/coverage.html").await.text;
    assert!(html.contains("No AI account was found"), "{html}");
}

#[tokio::test]
async fn b04_what_a_crash_left_behind_is_finished_by_the_next_run() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    let first = tree(app.reports.path());
    tick(&app, SECOND).await;
    // The second run ends right after its commit record.
    let folder = tree(app.reports.path())
        .into_keys()
        .find(|name| name.contains("day=23") && name.ends_with("manifest.json"))
        .unwrap();
    std::fs::remove_file(app.reports.path().join(folder)).unwrap();
    std::fs::write(
        app.reports.path().join("latest/coverage.json"),
        &first["latest/coverage.json"],
    )
    .unwrap();
    let seen = get(&app, "/manifest.json").await.json();
    assert_eq!(
        seen["slot"], "20261122T060000Z",
        "readers see the run before"
    );
    assert_eq!(
        tick(&app, SECOND).await,
        "run 20261123T060000Z was already done"
    );
    assert_eq!(
        get(&app, "/manifest.json").await.json()["slot"],
        "20261123T060000Z"
    );
    let manifests = tree(app.reports.path())
        .into_keys()
        .filter(|name| name.ends_with("manifest.json"))
        .count();
    assert_eq!(manifests, 2);
}

#[tokio::test]
async fn a_report_that_expired_or_was_changed_is_not_served() {
    let app = App::start().await;
    tick(&app, FIRST).await;
    let csv = tree(app.reports.path())
        .into_keys()
        .find(|name| name.ends_with("/coverage.csv"))
        .unwrap();
    let csv = app.reports.path().join(csv);
    std::fs::write(&csv, "changed").unwrap();
    assert_eq!(
        get(&app, "/coverage.csv").await.problem(502),
        "storage_unusable"
    );
    std::fs::remove_dir_all(csv.parent().unwrap()).unwrap();
    assert_eq!(get(&app, "/coverage.csv").await.problem(404), "no_report");
    assert_eq!(get(&app, "").await.problem(404), "no_report");
    assert_eq!(
        tick(&app, SECOND).await,
        "run 20261123T060000Z is written, complete"
    );
    std::fs::write(app.reports.path().join("latest/coverage.json"), "{}").unwrap();
    assert_eq!(get(&app, "").await.problem(502), "storage_unusable");
}

#[tokio::test]
async fn d12_times_are_utc_whatever_the_machine_is_set_to() {
    let app = App::start_with(&[("TZ", "Pacific/Auckland"), ("LC_ALL", "de_DE.UTF-8")]).await;
    tick(&app, "2026-11-23T19:00:00+13:00").await;
    let manifest = get(&app, "/manifest.json").await.json();
    assert_eq!(manifest["slot"], "20261123T060000Z");
    let as_of = manifest["asOf"].as_str().unwrap();
    assert!(as_of.len() == 20 && as_of.ends_with('Z'), "{as_of}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setting_of_each_account_is_read_when_asked_for() {
    let app = App::start_with(&[("COVERAGE_ACCOUNT_SETTINGS", "true"), ("CSV_BOM", "false")]).await;
    app.cloud.add_fault(Fault {
        path: "research-openai".into(),
        body: Body::Text("no".into()),
        ..Fault::status(403)
    });
    tick(&app, FIRST).await;
    let csv = get(&app, "/ai-resources.csv").await.text;
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = header
        .iter()
        .position(|name| *name == "defenderForAI")
        .unwrap();
    let state = |name: &str| {
        csv.lines()
            .find(|line| line.contains(name))
            .unwrap()
            .split(',')
            .nth(at)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (
            state("contoso-openai").as_str(),
            state("research-openai").as_str(),
            state("research-speech").as_str()
        ),
        ("Enabled", "NotReadable", "")
    );
}

/// An app that reaches Key Vault and a webhook by their real names.
///
/// It reaches them through a proxy on loopback.
async fn with_webhook(url: &str) -> (App, tls::Authority) {
    let cloud = sandbox::Sandbox::start(sandbox::Tenant::default())
        .await
        .unwrap();
    cloud.set_secret("teams-webhook", url);
    let authority = tls::Authority::new();
    let (vault, webhook) = (
        "contoso.vault.azure.net",
        "default1.2.environment.api.powerplatform.com",
    );
    let ports = vec![
        (vault, authority.serve(&[vault], cloud.key_vault()).await),
        (webhook, authority.serve(&[webhook], cloud.webhook()).await),
    ];
    let proxy = format!("http://127.0.0.1:{}", tls::proxy(ports).await);
    let settings = [
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net"),
        ("NOTIFY_WEBHOOK", "teams-webhook"),
        ("HTTPS_PROXY", proxy.as_str()),
        ("SSL_CERT_FILE", authority.trusted.to_str().unwrap()),
    ];
    (App::start_on(cloud, &settings).await, authority)
}

const WEBHOOK: &str =
    "https://default1.2.environment.api.powerplatform.com:443/powerautomate/x/invoke?sig=SECRET";

#[tokio::test]
async fn a_downgrade_is_posted_to_the_webhook_once() {
    let (app, _authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    assert_eq!(app.cloud.posted().len(), 0, "a baseline posts nothing");
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    tick(&app, SECOND).await;
    let posted = app.cloud.posted();
    assert_eq!(posted.len(), 1);
    let card = posted[0].to_string();
    assert!(
        card.contains("2 downgrades") && card.contains("Contoso Production"),
        "{card}"
    );
    app.host
        .console_line(|line| line.text.contains("\"notified\""))
        .await;
}

#[tokio::test]
async fn a_message_is_not_posted_again_where_it_may_have_arrived() {
    let (app, _authority) = with_webhook(WEBHOOK).await;
    app.cloud.set_webhook_status(500);
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    assert_eq!(
        (app.cloud.webhook_calls(), app.cloud.posted().len()),
        (1, 0)
    );
    app.host
        .console_line(|line| {
            line.text.contains("\"notify_failed\"")
                && line.text.contains("may have been carried out")
        })
        .await;
}

/// A downgrade in the second run, whose message is posted.
async fn downgraded() -> (App, tls::Authority) {
    let (app, authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    assert_eq!(app.cloud.posted().len(), 1);
    (app, authority)
}

#[tokio::test]
async fn a_lost_pointer_posts_nothing_again() {
    let (app, _authority) = downgraded().await;
    std::fs::remove_file(app.reports.path().join("latest/coverage.json")).unwrap();
    tick(&app, THIRD).await;
    assert_eq!(app.cloud.posted().len(), 1);
    assert_eq!(
        get(&app, "/manifest.json").await.json()["slot"],
        "20261124T060000Z"
    );
}

#[tokio::test]
async fn a_run_of_a_clock_that_is_ahead_hides_no_other() {
    runs_after_one_of_another_clock(false).await;
}

#[tokio::test]
async fn a_run_of_a_clock_that_was_ahead_hides_no_other_when_its_time_has_come() {
    runs_after_one_of_another_clock(true).await;
}

async fn runs_after_one_of_another_clock(is_past: bool) {
    let (app, _authority) = downgraded().await;
    tick(&app, THIRD).await;
    let record = app
        .reports
        .path()
        .join("history/coverage/runs/20261124T060000Z.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    // The time is in the future for readers too, or only was when it was written.
    let pointer = app.reports.path().join("latest/coverage.json");
    let now = time::OffsetDateTime::now_utc();
    let soon = now + Duration::from_secs(1_800);
    let as_of = match is_past {
        false => "2999-01-01T00:00:00Z".to_owned(),
        true => soon
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap(),
    };
    manifest["asOf"] = json!(as_of);
    let ahead = manifest.to_string();
    std::fs::write(&record, &ahead).unwrap();
    if is_past {
        let then = std::time::SystemTime::now() - Duration::from_secs(3 * 86_400);
        let file = std::fs::File::options().write(true).open(&record);
        file.unwrap().set_modified(then).unwrap();
        // Another run replaced it before readers noticed.
        std::fs::remove_file(pointer).unwrap();
    } else {
        std::fs::write(pointer, &ahead).unwrap();
    }
    for _ in 0..2 {
        tick(&app, FOURTH).await;
        assert_eq!(
            get(&app, "/manifest.json").await.json()["slot"],
            "20261125T060000Z"
        );
    }
    assert_eq!(app.cloud.posted().len(), 1);
    app.host
        .console_line(|line| line.text.contains("report_clock"))
        .await;
}

#[tokio::test]
async fn c23_a_webhook_elsewhere_is_refused_and_holds_nothing_up() {
    let (app, _authority) = with_webhook("https://169.254.169.254/metadata?sig=SECRET").await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    assert_eq!(
        tick(&app, SECOND).await,
        "run 20261123T060000Z is written, complete"
    );
    let line = app
        .host
        .console_line(|line| line.text.contains("notify_failed"))
        .await;
    assert!(line.text.contains("Workflows webhook"), "{line:?}");
    assert_eq!(
        get(&app, "/manifest.json").await.json()["slot"],
        "20261123T060000Z"
    );
}

/// A command with its own history.
struct Shell {
    cloud: sandbox::Sandbox,
    folder: tempfile::TempDir,
}

impl Shell {
    async fn new() -> Self {
        Self {
            cloud: sandbox::Sandbox::start(sandbox::Tenant::default())
                .await
                .unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn history(&self) -> std::path::PathBuf {
        self.folder.path().join("new")
    }

    /// Exit code, standard output and standard error.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut variables = self.cloud.variables();
        variables.push(("REPORTS_URL", self.history().display().to_string()));
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            app::run(&arguments, &variables, "")
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_compares_with_a_run_of_the_history() {
    let shell = Shell::new().await;
    let (status, _, said) = shell.run(&["run", "coverage_report"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        said.starts_with("run 2") && said.contains("is written") && said.contains("stored in"),
        "{said}"
    );
    shell
        .cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    let (status, table, said) = shell.run(&["coverage", "--since", "latest"]).await;
    assert_eq!((status, said.as_str()), (0, ""));
    assert!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .trim_start()
            .starts_with("disabled"),
        "{table}"
    );
    let records = || {
        tree(&shell.history())
            .into_keys()
            .filter_map(|name| Some(name.split_once("runs/")?.1.to_owned()))
    };
    let slot = records().next().unwrap().replace(".json", "");
    let (_, json, _) = shell
        .run(&["coverage", "--since", &slot, "--format", "json"])
        .await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["changes"]["disabled"], 1);
    assert_eq!(records().count(), 1, "`coverage` writes no history");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_run_is_reported() {
    let shell = Shell::new().await;
    let (status, _, said) = shell.run(&["coverage", "--since", "latest"]).await;
    assert_eq!(status, 2);
    assert!(said.contains("`run coverage_report` makes one"), "{said}");
    assert!(
        !shell.history().exists(),
        "a reading command makes no folder"
    );
    let (status, _, said) = shell
        .run(&["coverage", "--since", "20200101T000000Z"])
        .await;
    assert_eq!(status, 2, "{said}");
    let (status, _, said) = shell.run(&["coverage", "--since", "yesterday"]).await;
    assert_eq!(status, 2);
    assert!(said.contains("20261123T060000Z"), "{said}");
}
