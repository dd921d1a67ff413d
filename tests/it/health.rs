//! `health` and `doctor`: the checks of a deployment, and the commands that grant
//! missing roles.

mod special_cases;

use sandbox::{Fault, IdentityBehavior, Sandbox, TENANT_ID, subscription_id};
use serde_json::{Value, json};

use crate::support::{
    app::{cloud, run},
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

    /// Runs `doctor --format json`; returns its exit code and the checks.
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
async fn a_complete_deployment_is_confirmed_line_by_line() {
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
    // A second check finds the probe that the first one left.
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
    // The command is complete: a shell with the Azure CLI runs it unchanged.
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
    // If the groups are refused, their number is unknown.
    stage.cloud.add_fault(Fault::status(403).on("/descendants"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "subscriptions", "missing", "cannot be read");
    // A scope of subscriptions does not need a group.
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
    // Without a token, nothing else can be checked.
    stage.cloud.set_identity(IdentityBehavior {
        status: 500,
        ..IdentityBehavior::default()
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
    stage.cloud.set_identity(IdentityBehavior {
        status: 400,
        ..IdentityBehavior::default()
    });
    let (code, health) = stage.look().await;
    assert_eq!(code, 1, "{health:#}");
    expect(&health, "identity", "missing", "no token from the identity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_graph_that_does_not_answer_is_not_a_missing_role() {
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
async fn a_refusal_of_a_role_that_is_held_asks_for_no_grant() {
    let stage = Stage::new().await;
    stage.cloud.add_fault(Fault::status(403).on("/api/files"));
    let (code, health) = stage.look().await;
    assert_eq!(code, 1);
    expect(&health, "files", "missing", "although the token holds");
    let fix = check(&health, "files")["fix"].as_str().unwrap();
    assert!(fix.contains("nothing has to be granted"), "{fix}");
}
