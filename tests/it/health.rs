//! `health` and `doctor`: whether a deployment has what it needs, and the command
//! that grants what is missing.

use std::time::Duration;

use sandbox::{Body, Fault, IdentityBehaviour, Sandbox, TENANT_ID, Workbook, subscription_id};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{cloud, run},
    host::ClientRequest,
    tools::AzureCli,
};

/// A cloud with subscriptions below the tenant's root, and settings of a history.
struct Stage {
    cloud: Sandbox,
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Stage {
    async fn new() -> Self {
        let cloud = cloud().await;
        let folder = tempfile::tempdir().unwrap();
        Self {
            cloud,
            folder,
            settings: Vec::new(),
        }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    async fn run(&self, arguments: &'static [&'static str]) -> (i32, String, String) {
        let mut variables = self.cloud.variables();
        variables.push(("REPORTS_URL", self.folder.path().display().to_string()));
        variables.retain(|(name, _)| self.settings.iter().all(|(set, _)| set != name));
        variables.extend(self.settings.clone());
        let work = move || run(arguments, &variables, "");
        let output = tokio::task::spawn_blocking(work).await.expect("no panic");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// `doctor --format json`, its exit code and the checks.
    async fn look(&self) -> (i32, Value) {
        let (code, stdout, stderr) = self.run(&["doctor", "--format", "json"]).await;
        let health = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        (code, health)
    }
}

#[track_caller]
fn check<'a>(health: &'a Value, id: &str) -> &'a Value {
    let mut checks = health["checks"].as_array().unwrap().iter();
    checks
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("{id} {health:#}"))
}

#[track_caller]
fn expect(health: &Value, id: &str, state: &str, detail: &str) {
    let check = check(health, id);
    assert_eq!(check["state"], state, "{check:#}");
    assert!(
        check["detail"].as_str().unwrap().contains(detail),
        "{check:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_has_everything_is_told_so_line_by_line() {
    let stage = Stage::new().await;
    let (code, health) = stage.look().await;
    assert_eq!((code, &health["status"]), (0, &json!("ok")), "{health:#}");
    expect(
        &health,
        "identity",
        "ok",
        "object id 0b1e0b1e-0000-4000-8000-000000000001",
    );
    expect(&health, "clock", "ok", "that of Azure");
    expect(
        &health,
        "token-defender",
        "ok",
        "roles File.Read.All, Alert.Read.All",
    );
    for id in [
        "files",
        "alerts",
        "machines",
        "antivirus",
        "hunting",
        "token-graph",
        "token-resource-manager",
        "plans",
        "workbooks",
        "reports",
    ] {
        assert_eq!(check(&health, id)["state"], "ok", "{id}");
    }
    let number = stage.cloud.subscriptions();
    expect(
        &health,
        "subscriptions",
        "ok",
        &format!("{number} of {number} are visible"),
    );
    expect(&health, "indicators", "off", "include=indicators");
    expect(&health, "key-vault", "off", "KEY_VAULT_URL is not set");
    // One harmless call to each API, and the probe of storage.
    let targets: Vec<String> = stage
        .cloud
        .defender_calls()
        .into_iter()
        .map(|call| call.target)
        .collect();
    assert_eq!(targets.len(), 5, "{targets:?}");
    let left = std::fs::read_dir(stage.folder.path().join("doctor")).unwrap();
    assert_eq!(left.count(), 2, "one of today, and one that is replaced");
    // A second look finds the probe that it left.
    assert_eq!(stage.look().await.0, 0);
    let (code, table, _) = stage.run(&["doctor"]).await;
    assert_eq!(code, 0);
    assert!(
        table.contains("OK           File verdicts")
            && table.ends_with("0 missing, 0 unreachable, 2 off.\n"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_missing_comes_with_the_command_that_grants_it() {
    let stage = Stage::new().await.set("VDI_HOST_PATTERN", "^vdi-");
    stage.cloud.set_roles(&["Alert.Read.All"]);
    let (code, health) = stage.look().await;
    assert_eq!((code, &health["status"]), (1, &json!("missing")));
    expect(&health, "token-defender", "ok", "roles Alert.Read.All");
    expect(
        &health,
        "files",
        "missing",
        "`File.Read.All` of WindowsDefenderATP",
    );
    expect(
        &health,
        "hunting",
        "missing",
        "`ThreatHunting.Read.All` of Microsoft Graph",
    );
    expect(&health, "alerts", "ok", "");
    // The command is whole: a shell with the Azure CLI runs it as it is.
    let az = AzureCli::answering(
        r#"case "$*" in
*"ad sp show"*appRoles*) echo the-role ;;
*"ad sp show"*) echo "resource-of-$5" ;;
*) printf '%s\n' "$@" > asked ;;
esac
"#,
    );
    for (id, resource) in [
        ("files", "fc780465-2017-40d4-a0c5-307022471b92"),
        ("hunting", "00000003-0000-0000-c000-000000000000"),
    ] {
        let command = check(&health, id)["fix"].as_str().unwrap();
        let asked = az.asked_by(command);
        let asked: Vec<&str> = asked.lines().collect();
        let object = "0b1e0b1e-0000-4000-8000-000000000001";
        assert!(
            asked.iter().any(|word| word.ends_with(&format!(
                "/v1.0/servicePrincipals/{object}/appRoleAssignments"
            ))),
            "{asked:?}"
        );
        let body: Value = serde_json::from_str(asked.last().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({ "principalId": object, "resourceId": format!("resource-of-{resource}"), "appRoleId": "the-role" }),
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_the_identity_does_not_see_are_named() {
    let stage = Stage::new().await;
    stage.cloud.hide_subscription(&subscription_id(2));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(
        &health,
        "subscriptions",
        "missing",
        &format!("not {}", subscription_id(2)),
    );
    let fix = check(&health, "subscriptions")["fix"].as_str().unwrap();
    assert_eq!(
        fix,
        format!(
            "az role assignment create --assignee-object-id 0b1e0b1e-0000-4000-8000-000000000001 --assignee-principal-type ServicePrincipal --role \"Reader\" --scope /providers/Microsoft.Management/managementGroups/{TENANT_ID}"
        )
    );
    // Where the groups are refused, how many there are is not known.
    stage.cloud.add_fault(Fault::status(403).on("/descendants"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "subscriptions", "missing", "cannot be read");
    // A scope of subscriptions needs no group.
    let one = format!("sub:{}", subscription_id(2));
    let stage = stage.set("COVERAGE_SCOPE", &one);
    let (code, health) = stage.look().await;
    assert_eq!(
        (code, check(&health, "subscriptions")["state"].as_str()),
        (1, Some("missing")),
        "{health:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_answer_is_unreachable_and_no_other_state() {
    let stage = Stage::new().await;
    stage
        .cloud
        .add_fault(Fault::status(503).on("/api/machines"));
    stage
        .cloud
        .add_fault(Fault::status(503).on("runHuntingQuery"));
    let (code, health) = stage.look().await;
    assert_eq!(
        (code, &health["status"]),
        (3, &json!("unreachable")),
        "{health:#}"
    );
    expect(&health, "machines", "unreachable", "503");
    expect(&health, "hunting", "unreachable", "503");
    assert_eq!(check(&health, "machines").get("fix"), Some(&Value::Null));
    // Without a token nothing else can be known.
    stage.cloud.set_identity(IdentityBehaviour {
        status: 500,
        ..IdentityBehaviour::default()
    });
    let (code, health) = stage.look().await;
    assert_eq!(code, 3, "{health:#}");
    expect(
        &health,
        "identity",
        "unreachable",
        "no token from the identity",
    );
    expect(&health, "files", "unreachable", "no token");
    expect(&health, "subscriptions", "unreachable", "without a token");
    stage.cloud.set_identity(IdentityBehaviour {
        status: 400,
        ..IdentityBehaviour::default()
    });
    let (code, health) = stage.look().await;
    assert_eq!(code, 1, "{health:#}");
    expect(&health, "identity", "missing", "no token from the identity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_graph_that_does_not_answer_is_no_missing_role() {
    for fault in [
        Fault::status(500),
        Fault::status(404),
        Fault::json("<html>"),
    ] {
        let stage = Stage::new().await;
        stage.cloud.add_fault(fault.on("ResourceGraph"));
        let (code, health) = stage.look().await;
        assert_eq!(code, 3, "{health:#}");
        expect(&health, "subscriptions", "unreachable", "");
        assert_eq!(
            check(&health, "subscriptions").get("fix"),
            Some(&Value::Null)
        );
    }
    let stage = Stage::new().await;
    stage
        .cloud
        .add_fault(Fault::status(403).on("ResourceGraph"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "subscriptions", "missing", "Reader");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_a_role_that_is_held_is_mended_by_no_grant() {
    let stage = Stage::new().await;
    stage.cloud.add_fault(Fault::status(403).on("/api/files"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "files", "missing", "although the token holds");
    let fix = check(&health, "files")["fix"].as_str().unwrap();
    assert!(fix.contains("nothing has to be granted"), "{fix}");
}

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

/// What a name of somebody else's has in it is no part of a command.
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

/// A caller that does not wait costs the quota no more than one that does.
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
async fn c_clock_that_is_wrong_is_told() {
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
async fn a_place_that_cannot_be_written_is_told() {
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
async fn liveness_is_for_everybody_and_the_checks_for_who_runs_reports() {
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
    // The next one within a minute costs no call.
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
    assert_eq!(answer.problem(403), "missing_role");
    assert_eq!(app.calls(), 0);
}
