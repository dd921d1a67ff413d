//! The history of the coverage report: the files that the timer, the route and the
//! command write into a directory, and their messages.

mod changes;
mod history;
mod notice;

use std::{collections::BTreeMap, path::Path, time::Duration};

use sandbox::{Body, Estate, Fault};
use serde_json::{Value, json};

use crate::support::{App, app::Answer, host::ClientRequest};

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
