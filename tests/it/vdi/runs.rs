//! Runs of the report: history, expected hosts, HTTP API and timer.

use std::path::Path;

use sandbox::VdiDevice;
use serde_json::{Value, json};

use super::Stage;
use crate::support::{App, host::ClientRequest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trend_goes_over_past_runs_and_needs_the_pattern() {
    let stage = Stage::new().await;
    let first = stage.summary(0, &[]).await;
    assert_eq!(first["trend"], json!([]));
    wait_for_another_second(stage.folder.path());
    let second = stage.summary_of_another(0, &[]).await;
    assert_eq!(
        (&second["trend"][0]["devices"], &second["trend"][0]["asOf"]),
        (&first["devices"], &first["asOf"])
    );
    assert!(stage.file("vdi.html").contains("Over the last 2 runs"));
    let stage = stage.set("VDI_HOST_PATTERN", "");
    let run = stage.run(&["vdi"]).await;
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("VDI_HOST_PATTERN"), "{}", run.stderr);
    let stage = stage.set("VDI_HOST_PATTERN", "vdi-(");
    assert!(
        stage
            .run(&["vdi"])
            .await
            .stderr
            .contains("not a regular expression")
    );
}

/// Two runs of one second are one run.
pub(super) fn wait_for_another_second(folder: &Path) {
    let newest = std::fs::metadata(folder.join("latest/vdi.json"))
        .unwrap()
        .modified()
        .unwrap();
    while newest.elapsed().unwrap_or_default().as_millis() < 1_000 {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expected_hosts_are_each_counted_once_and_a_golden_image_is_one() {
    let golden = VdiDevice::new(2, "gold-1.corp.local");
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-1.corp.local"), golden]).await;
    let file = stage.folder.path().join("hosts");
    let utf16: Vec<u8> = "\u{feff}vdi-1\rvdi-9\r\nvdi-9.corp.local\ngold-1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(&file, utf16).unwrap();
    let summary = stage
        .summary(0, &["--expected-hosts", file.to_str().unwrap()])
        .await;
    assert_eq!(summary["missingHosts"], 1, "{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_hosts_is_refused() {
    let stage = Stage::new().await;
    let file = stage.folder.path().join("hosts");
    for (content, why) in [
        (&b""[..], "no host name"),
        (b"a,b\n", "not a host name"),
        (b"\xc3\x28", "not a host name"),
        (b"v\0d\0i\0", "not text in UTF-8 or UTF-16"),
        (b"CORP\\vdi-1\n", "not a host name"),
        (b"vdi-2$\n", "not a host name"),
        ("vdi-\u{202e}1\n".as_bytes(), "not a host name"),
        (b"# only\n", "no host name"),
    ] {
        std::fs::write(&file, content).unwrap();
        let run = stage
            .run(&["vdi", "--expected-hosts", file.to_str().unwrap()])
            .await;
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_api_runs_and_answers_the_report() {
    let app = App::start_with(&[("VDI_HOST_PATTERN", "^vdi-")]).await;
    assert_eq!(
        app.send(ClientRequest::get("/api/vdi")).await.problem(404),
        "no_report"
    );
    let run = app.send(ClientRequest::post("/api/vdi", "")).await.json();
    assert_eq!(
        (&run["devices"], &run["goldenOnboarded"]),
        (&json!(21), &Value::Null),
        "{run:#}"
    );
    assert_eq!(app.send(ClientRequest::get("/api/vdi")).await.json(), run);
    let csv = app.send(ClientRequest::get("/api/vdi/findings.csv")).await;
    assert!(csv.text.contains("TN-01"));
    let page = app.send(ClientRequest::get("/api/vdi/vdi.html")).await;
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(
        app.send(ClientRequest::get("/api/vdi/x"))
            .await
            .problem(404),
        "no_such_file"
    );
    assert_eq!(
        app.send(ClientRequest::post("/api/vdi/x", ""))
            .await
            .problem(405),
        "method_not_allowed"
    );
    let off = App::start().await;
    assert_eq!(
        off.send(ClientRequest::post("/api/vdi", ""))
            .await
            .problem(404),
        "report_off"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timer_writes_one_run_an_occurrence_into_a_place_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let own = place.path().display().to_string();
    let occurrence = json!({ "Data": { "timer": { "Schedule": {}, "IsPastDue": true,
            "ScheduleStatus": { "Last": "2020-01-01T00:00:00+00:00", "Next": "2026-11-23T06:00:00+00:00" } } },
        "Metadata": { "sys": { "MethodName": "vdi_report" } } });
    let app = App::start_with(&[
        ("VDI_HOST_PATTERN", "^vdi-"),
        ("VDI_REPORTS_URL", own.as_str()),
    ])
    .await;
    for line in [
        "run 20261123T060000Z is written, complete",
        "run 20261123T060000Z was already done",
    ] {
        let done = app.host.invoke("vdi_report", &occurrence).await;
        assert!(
            done.expect("no failed invocation")
                .logs
                .concat()
                .contains(line),
            "{line}"
        );
    }
    assert!(
        place
            .path()
            .join("history/vdi/runs/20261123T060000Z.json")
            .is_file()
    );
    assert!(!app.reports.path().join("history").exists());
    let off = App::start().await;
    let done = off.host.invoke("vdi_report", &occurrence).await;
    let line = done.expect("no failed invocation").logs.concat();
    assert!(line.contains("`VDI_HOST_PATTERN` is not set"), "{line}");
}
