//! The history at a shell, and runs of another clock.

use std::time::Duration;

use sandbox::Estate;
use serde_json::{Value, json};

use super::notice::downgraded;
use super::{FOURTH, THIRD, get, tick, tree};
use crate::support::app::{self};

#[tokio::test]
async fn a_run_of_a_clock_that_is_ahead_hides_no_other() {
    runs_after_one_of_another_clock(Ahead::ByYears).await;
}

#[tokio::test]
async fn field_s17_a_run_of_a_clock_that_is_minutes_ahead_hides_no_other() {
    runs_after_one_of_another_clock(Ahead::ByMinutes).await;
}

#[tokio::test]
async fn a_run_of_a_clock_that_was_ahead_hides_no_other_when_its_time_has_come() {
    runs_after_one_of_another_clock(Ahead::InThePast).await;
}

#[derive(Clone, Copy, PartialEq)]
enum Ahead {
    ByYears,
    ByMinutes,
    /// Its time has come by now.
    InThePast,
}

async fn runs_after_one_of_another_clock(clock: Ahead) {
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
    let as_of = match clock {
        Ahead::ByYears => "2999-01-01T00:00:00Z".to_owned(),
        Ahead::ByMinutes | Ahead::InThePast => soon
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap(),
    };
    manifest["asOf"] = json!(as_of);
    let ahead = manifest.to_string();
    std::fs::write(&record, &ahead).unwrap();
    if clock == Ahead::InThePast {
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
async fn field_s18_an_empty_pointer_stops_no_run() {
    let (app, _authority) = downgraded().await;
    tick(&app, THIRD).await;
    for content in ["", "\n"] {
        std::fs::write(app.reports.path().join("latest/coverage.json"), content).unwrap();
        tick(&app, FOURTH).await;
        let newest = get(&app, "/manifest.json").await.json();
        assert_eq!(newest["slot"], "20261125T060000Z", "{content:?}");
    }
    assert_eq!(app.cloud.posted().len(), 1, "nothing is sent again");
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
