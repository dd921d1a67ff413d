//! The roles that are granted and the registration: documents, templates and scripts agree.

use std::{collections::BTreeSet, fs, process::Command};

use handler::server::Role;
use serde_json::{Value, json};

use super::files::files;
use super::{bicep, infra};
use crate::support::{
    package::repository,
    tools::{AzureCli, outside, run},
};

#[test]
fn every_role_that_is_assigned_is_in_the_documents() {
    let permissions = fs::read_to_string(repository().join("docs/permissions.md")).unwrap();
    let mut count = 0;
    for file in files() {
        let text = fs::read_to_string(file).unwrap();
        let ids = text
            .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .filter(|word| word.len() == 36 && word.matches('-').count() == 4);
        // One id belongs to no application.
        let no_app = uuid::Uuid::nil().to_string();
        for id in ids.filter(|id| *id != no_app) {
            count += 1;
            assert!(permissions.contains(id), "{id}");
        }
    }
    assert_eq!(count, 5);
}

/// Roles of the app's identity that a file names.
fn granted(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(infra().join("graph").join(file)).unwrap();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    // Roles that begin with `App` are those with which the administrator signs in.
    let roles = words.filter(|word| word.ends_with(".All") && !word.starts_with("App"));
    roles.map(str::to_owned).collect()
}

#[test]
fn the_three_ways_to_grant_grant_the_same_documented_roles() {
    let roles = granted("main.bicep");
    assert_eq!(roles.len(), 5, "{roles:?}");
    assert_eq!(granted("grant.sh"), roles);
    assert_eq!(granted("grant.ps1"), roles);
    let permissions = fs::read_to_string(repository().join("docs/permissions.md")).unwrap();
    for role in &roles {
        assert!(permissions.contains(&format!("`{role}`")), "{role}");
    }
    let bicep = fs::read_to_string(infra().join("graph/main.bicep")).unwrap();
    for role in Role::ALL {
        assert!(
            bicep.contains(&format!("value: '{}'", role.as_str())),
            "{role:?}"
        );
    }
}

#[test]
fn the_three_ways_to_register_make_the_same_registration() {
    let read = |file: &str| fs::read_to_string(infra().join("graph").join(file)).unwrap();
    let (bicep, shell, windows) = (read("main.bicep"), read("grant.sh"), read("grant.ps1"));
    let id_before = |text: &str| {
        let (before, _) = bicep.split_once(text).unwrap_or_else(|| panic!("{text}"));
        let id = before.trim_end().trim_end_matches('\'').rsplit('\'').next();
        uuid::Uuid::parse_str(id.unwrap())
            .expect("an id")
            .to_string()
    };
    let mut ids = BTreeSet::new();
    for role in Role::ALL
        .map(|role| role.to_string())
        .into_iter()
        .chain(["Indicators.Write".to_owned()])
    {
        let id = id_before(&format!("value: '{role}'"));
        assert!(shell.contains(&format!("    {role}={id}\n")), "{role}");
        assert!(windows.contains(&format!("'{role}' = '{id}'\n")), "{role}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 5, "each has its own");
    let scope = bicep.split("var scopeId = '").nth(1).unwrap();
    let scope = scope.split('\'').next().unwrap();
    assert!(shell.contains(&format!("\nscope={scope}\n")));
    assert!(windows.contains(&format!("$scope = '{scope}'")));
}

#[test]
fn the_grants_compile_with_the_types_of_microsoft_graph() {
    let path = "shared/data/microsoft-graph-types/index.json";
    let Some(types) = outside(path, "grants: there are no types of Microsoft Graph") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let types = types.display().to_string();
    let published = bicep(
        &["publish-extension", &types, "--target", "graph.tgz"],
        folder.path(),
    );
    if published.is_none() {
        return;
    }
    fs::copy(
        infra().join("graph/main.bicep"),
        folder.path().join("main.bicep"),
    )
    .unwrap();
    let config = json!({ "extensions": { "microsoftGraphV1": "./graph.tgz" } });
    fs::write(folder.path().join("bicepconfig.json"), config.to_string()).unwrap();
    let sarif = bicep(
        &["lint", "main.bicep", "--diagnostics-format", "sarif"],
        folder.path(),
    );
    let report: Value = serde_json::from_str(&sarif.unwrap()).unwrap();
    assert_eq!(
        report["runs"][0]["results"].as_array().map(Vec::len),
        Some(0),
        "{report:#}"
    );
}

/// A command that answers as Microsoft Graph does, and records what it posts.
#[test]
fn the_shell_script_grants_each_role_once() {
    let az = AzureCli::answering(
        r#"case "$*" in
    *"cloud show"*) echo https://graph.microsoft.com/ ;;
    *"--method post"*) echo "${@: -1}" >> "$(dirname "$0")/posted" ;;
    *"appId eq"*) echo resource ;;
    *"appRoles["*) sed -E "s/.*value=='([^']+)'.*/id-\1/" <<< "$*" ;;
    *"length(@)"*) grep -c "$(sed -E "s/.*appRoleId=='([^']+)'.*/\1/" <<< "$*")" "$(dirname "$0")/posted" 2>/dev/null || true ;;
esac
"#,
    );
    fs::write(az.file("posted"), "").unwrap();
    let grant = |more: &[&str]| {
        let mut command = Command::new("bash");
        command
            .arg(infra().join("graph/grant.sh"))
            .arg("the-identity")
            .args(more)
            .env("PATH", &az.path);
        String::from_utf8(run(&mut command).stdout).unwrap()
    };
    assert_eq!(
        grant(&["--no-hunting"])
            .lines()
            .filter(|line| line.ends_with("is granted"))
            .count(),
        3
    );
    let again = grant(&["--indicators"]);
    assert_eq!(
        again
            .lines()
            .filter(|line| line.ends_with("is already granted"))
            .count(),
        3,
        "{again}"
    );
    let posted = fs::read_to_string(az.file("posted")).unwrap();
    assert_eq!(posted.lines().count(), 5, "{posted}");
    let body: Value = serde_json::from_str(posted.lines().next().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "principalId": "the-identity", "resourceId": "resource", "appRoleId": "id-File.Read.All" })
    );
}

#[test]
fn the_shell_script_registers_the_api_and_finishes_what_broke_off() {
    let az = AzureCli::answering(
        r#"here=$(dirname "$0")
case "$*" in
    *"cloud show"*) echo https://graph.microsoft.com/ ;;
    *"account show"*) echo the-tenant ;;
    *"--method post"*appRoleAssignedTo*)
        if grep -q appRoleId "$here/sent"; then echo "Permission being assigned already exists on the object" >&2; exit 1; fi
        echo "${@: -1}" >> "$here/sent" ;;
    *"--method "*)
        if [ "$(wc -l < "$here/sent")" = "$(cat "$here/breaks")" ]; then echo broken >&2; exit 1; fi
        echo "${@: -1}" >> "$here/sent" ;;
    *"servicePrincipals(appId='the-client') --output none"*) grep -q appRoleAssignmentRequired "$here/sent" ;;
    *"applications(uniqueName='defender-functions')"*) echo the-client ;;
    *"servicePrincipals(appId='the-client')"*) echo the-resource ;;
    *"length(@)"*) echo 1 ;;
    *) echo found ;;
esac
"#,
    );
    let sent = az.file("sent");
    fs::write(&sent, "").unwrap();
    let register = |breaks: &str| {
        fs::write(az.file("breaks"), breaks).unwrap();
        let mut command = Command::new("bash");
        command.arg(infra().join("graph/grant.sh"));
        command.args(["the-identity", "--api", "--caller", "a-person=Hashes.Read"]);
        command.env("PATH", &az.path);
        command.output().unwrap()
    };
    let broken = register("1");
    assert!(!broken.status.success());
    let said = String::from_utf8(register("none").stdout).unwrap();
    assert!(
        said.contains("API_CLIENT_ID=the-client\nAPI_AUDIENCE=api://the-tenant/defender-functions\na-person has the role Hashes.Read\n"),
        "{said}"
    );
    let text = fs::read_to_string(&sent).unwrap();
    the_registration_is_complete(&text);
    let again = String::from_utf8(register("none").stdout).unwrap();
    assert!(
        again.contains("already has the role Hashes.Read"),
        "{again}"
    );
    // A run for only a caller grants nothing to the app's identity.
    let mut alone = Command::new("bash");
    alone.arg(infra().join("graph/grant.sh"));
    alone.args(["--caller", "a-person=Hashes.Read"]);
    alone.env("PATH", &az.path);
    let alone = String::from_utf8(run(&mut alone).stdout).unwrap();
    assert_eq!(alone, "a-person already has the role Hashes.Read\n");
    let posted = fs::read_to_string(&sent).unwrap();
    assert_eq!(posted.matches("appRoleAssignmentRequired").count(), 1);
}

/// Checks the bodies sent to Microsoft Graph, one a line.
///
/// The first try broke off after its first body.
fn the_registration_is_complete(sent: &str) {
    let sent: Vec<Value> = sent
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(sent.len(), 5, "{sent:?}");
    assert_eq!(sent[0], sent[1]);
    let roles = sent[0]["appRoles"].as_array().unwrap();
    let id = |name: &str| {
        let role = roles.iter().find(|role| role["value"] == name);
        role.unwrap_or_else(|| panic!("{name}"))["id"].clone()
    };
    for role in Role::ALL {
        assert!(id(role.as_str()).is_string());
    }
    let scope = &sent[0]["api"]["oauth2PermissionScopes"][0]["id"];
    assert_eq!(
        &sent[2]["api"]["preAuthorizedApplications"][0]["delegatedPermissionIds"][0],
        scope
    );
    assert_eq!(
        sent[2]["identifierUris"],
        json!(["api://the-tenant/defender-functions"])
    );
    assert_eq!(sent[3]["appId"], "the-client");
    assert_eq!(
        sent[4],
        json!({ "principalId": "a-person", "resourceId": "the-resource", "appRoleId": id("Hashes.Read") })
    );
}
