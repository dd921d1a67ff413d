//! Parts that are off, scopes in several parts, odd names, clocks, and who may look.

use std::time::Duration;

use sandbox::{Body, Fault, Workbook, subscription_id};

use super::{Stage, check, expect};
use crate::support::{App, host::ClientRequest, tools::AzureCli};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_report_on_desktops_needs_is_off_without_it() {
    let stage = Stage::new().await;
    stage.cloud.set_roles(&["File.Read.All", "Alert.Read.All"]);
    let (_, health) = stage.look().await;
    for id in ["hunting", "antivirus"] {
        expect(&health, id, "off", "VDI_HOST_PATTERN is not set");
    }
    expect(&health, "machines", "missing", "Machine.Read.All");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_does_not_know_the_test_file_is_not_defender() {
    let stage = Stage::new().await;
    let nothing = Fault::status(404).body(Body::Text(String::new()));
    stage.cloud.add_fault(nothing.on("/api/files"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 3, "{health:#}");
    expect(&health, "files", "unreachable", "DEFENDER_API_URL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_parts_of_a_scope_the_one_that_is_not_seen_is_granted() {
    let scope = format!("sub:{} sub:{}", subscription_id(1), subscription_id(2));
    let stage = Stage::new().await.set("COVERAGE_SCOPE", &scope);
    stage.cloud.hide_subscription(&subscription_id(2));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    let fix = check(&health, "subscriptions")["fix"].as_str().unwrap();
    assert_eq!(fix.lines().count(), 1, "{fix}");
    assert!(
        fix.ends_with(&format!("--scope /subscriptions/{}", subscription_id(2))),
        "{fix}"
    );
}

/// The contents of another person's name never become part of a command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_a_name_is_run_by_the_command_that_fixes() {
    let stage = Stage::new().await.set("WORKBOOK_REPAIR", "true");
    let hostile = "rg (old)'; touch there; $(touch there) `touch there`";
    let mut copy = Workbook::new(1, 1, "Coverage", "{}");
    copy.id = copy.id.replace(
        "resourceGroups/security",
        &format!("resourceGroups/{hostile}"),
    );
    stage.cloud.set_workbooks(vec![copy]);
    stage.cloud.set_can_write_workbooks(false);
    let (code, health) = stage.look().await;
    assert_eq!(code, 1, "{health:#}");
    let fix = check(&health, "workbooks")["fix"].as_str().unwrap();
    let az = AzureCli::answering("printf '%s\\n' \"${@: -1}\" > asked\n");
    let asked = az.asked_by(fix);
    assert!(asked.trim_end().ends_with(hostile), "{asked}");
    assert!(!az.file("there").exists(), "{fix}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_group_of_workbooks_is_looked_at() {
    let stage = Stage::new().await.set("WORKBOOK_REPAIR", "true");
    let copies = (1..=25).map(|number| {
        let mut copy = Workbook::new(1, number, "Coverage", "{}");
        copy.id = copy
            .id
            .replace("/security/", &format!("/security{number}/"));
        copy
    });
    stage.cloud.set_workbooks(copies.collect());
    let refused = Fault::status(200)
        .body(Body::Text("{\"value\":[]}".to_owned()))
        .on("security25");
    stage.cloud.add_fault(refused);
    let (code, health) = stage.look().await;
    assert_eq!(code, 1, "{health:#}");
    expect(&health, "workbooks", "missing", "security25");
}

/// A caller that does not wait costs no more quota than one that does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_whose_caller_left_is_finished_and_kept() {
    let app = App::start().await;
    app.cloud.set_latency(Duration::from_secs(2));
    let url = format!("http://127.0.0.1:{}/api/health?deep=true", app.host.port);
    let client = reqwest::Client::new();
    for _ in 0..5 {
        let asked = client.get(&url).timeout(Duration::from_millis(150));
        assert!(asked.send().await.is_err(), "the caller left");
    }
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(app.calls(), 5, "one call to each API");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_is_reported() {
    let stage = Stage::new().await;
    let past = Fault::json("{}")
        .on("/metadata/endpoints")
        .header("date", "Mon, 01 Jan 2024 00:00:00 GMT");
    stage.cloud.add_fault(past);
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(
        &health,
        "clock",
        "missing",
        "s ahead of that of Azure; tokens are refused",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_cannot_be_written_is_reported() {
    let stage = Stage::new()
        .await
        .set("REPORTS_LATEST_URL", "/proc/no/such/place");
    let (code, health) = stage.look().await;
    assert_eq!(code, 1, "{health:#}");
    expect(&health, "latest", "missing", "/proc/no/such/place");
    expect(&health, "reports", "ok", "none over another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workbooks_have_to_be_writable_where_they_are_repaired() {
    let stage = Stage::new().await.set("WORKBOOK_REPAIR", "true");
    let copy = Workbook::new(1, 1, "Coverage", "{}");
    stage.cloud.set_workbooks(vec![copy.clone()]);
    let (code, health) = stage.look().await;
    assert_eq!(code, 0, "{health:#}");
    expect(
        &health,
        "workbooks",
        "ok",
        "1 saved copy can be read and written",
    );
    stage.cloud.set_can_write_workbooks(false);
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "workbooks", "missing", &copy.id);
    let fix = check(&health, "workbooks")["fix"].as_str().unwrap();
    let group = copy.id.split("/providers/").next().unwrap();
    assert!(
        fix.contains("--role \"Workbook Contributor\"") && fix.ends_with(group),
        "{fix}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_is_public_and_the_checks_are_for_who_runs_reports() {
    let app = App::start_guarded(&[]).await;
    for path in [
        "/api/health",
        "/api/health/",
        "/api/health?deep=false",
        "/API/Health",
    ] {
        let answer = app.send(ClientRequest::get(path)).await;
        assert_eq!(
            (answer.status, answer.json()["status"].as_str()),
            (200, Some("ok")),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let deep = |token: Option<String>| {
        let app = &app;
        async move {
            let value = token.map(|token| format!("Bearer {token}"));
            let headers: Vec<(&str, &str)> = value
                .iter()
                .map(|value| ("Authorization", value.as_str()))
                .collect();
            let request = ClientRequest::get("/api/health?deep=true").with(&headers);
            app.send(request).await
        }
    };
    assert_eq!(deep(None).await.problem(401), "token_missing");
    let token = |roles: &[&str]| app.cloud.sign(&app.cloud.caller_claims(roles));
    assert_eq!(
        deep(Some(token(&["Reports.Read"]))).await.problem(403),
        "missing_role"
    );
    let runner = token(&["Reports.Run"]);
    let answer = deep(Some(runner.clone())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    expect(&answer.json(), "files", "ok", "");
    // The next request within a minute costs no call.
    let calls = app.calls();
    let again = deep(Some(runner)).await;
    assert_eq!((again.json(), app.calls()), (answer.json(), calls));
    for (path, status, code) in [
        ("/api/health?deep=yes", 400, "invalid_parameter"),
        ("/api/health?x=1", 400, "unknown_parameter"),
        ("/api/health/x", 404, "not_found"),
    ] {
        assert_eq!(
            app.send(ClientRequest::get(path)).await.problem(status),
            code
        );
    }
    let post = app.send(ClientRequest::post("/api/health", "x")).await;
    assert_eq!(post.problem(405), "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_host_open_no_checks() {
    let app = App::start_with(&[("API_AUTH", "host")]).await;
    let answer = app.send(ClientRequest::get("/api/health?deep=true")).await;
    assert_eq!(answer.problem(403), "no_roles");
    assert_eq!(app.calls(), 0);
}
