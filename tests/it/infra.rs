//! What is deployed: compiled, linted and evaluated by Microsoft's Bicep CLI, then
//! held against what must be true of it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use handler::{
    auth::Role,
    config::{SCHEDULES, SETTINGS},
};
use serde_json::{Value, json};

use crate::support::{package::repository, tools::run};

/// Settings that the Functions host, App Service or the SDK read.
const PLATFORM: [&str; 6] = [
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
];

/// The Bicep CLI with these arguments; `None`, with a line that says so, where
/// there is none.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn bicep(arguments: &[&str], folder: &Path) -> Option<String> {
    let shared = repository().join("../shared/tools/bicep");
    let on_path = Command::new("bicep").arg("--version").output().is_ok();
    if !on_path && !shared.is_file() {
        eprintln!(
            "left out: there is no Bicep CLI on the path or at {}",
            shared.display()
        );
        return None;
    }
    let program = if on_path {
        PathBuf::from("bicep")
    } else {
        shared
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?} {said}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

fn infra() -> PathBuf {
    repository().join("infra")
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in [infra(), infra().join("modules")] {
        let all = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        files.extend(all.filter(|path| path.extension().is_some_and(|end| end == "bicep")));
    }
    files
}

/// What the example deploys, with one parameter changed.
fn deployed(parameter: &str) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("modules");
    fs::create_dir(&modules).unwrap();
    for file in files() {
        let relative = file.strip_prefix(infra()).unwrap().to_owned();
        fs::copy(&file, folder.path().join(relative)).unwrap();
    }
    for name in ["coverage.workbook.json", "bicepconfig.json"] {
        fs::copy(infra().join(name), folder.path().join(name)).unwrap();
    }
    let example = fs::read_to_string(infra().join("main.example.bicepparam")).unwrap();
    let name = parameter.split(" =").next().unwrap();
    let others: Vec<&str> = example
        .lines()
        .filter(|line| !line.starts_with(name))
        .collect();
    fs::write(
        folder.path().join("one.bicepparam"),
        format!("{}\n{parameter}\n", others.join("\n")),
    )
    .unwrap();
    let guid = "5d2a6d2b-0d5e-4a8c-9a5e-3f6c1c6a9f10";
    let arguments = [
        "snapshot",
        "one.bicepparam",
        "--mode",
        "overwrite",
        "--tenant-id",
        guid,
        "--subscription-id",
        guid,
        "--resource-group",
        "rg",
        "--location",
        "westeurope",
    ];
    bicep(&arguments, folder.path())?;
    let snapshot: Value =
        serde_json::from_slice(&fs::read(folder.path().join("one.snapshot.json")).unwrap())
            .unwrap();
    Some(snapshot["predictedResources"].as_array().unwrap().clone())
}

fn of_type<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources
        .iter()
        .filter(|resource| resource["type"] == kind)
        .collect()
}

#[test]
fn every_file_is_formatted_and_lints_without_a_word() {
    for file in files() {
        let name = file.display().to_string();
        let Some(sarif) = bicep(&["lint", &name, "--diagnostics-format", "sarif"], &infra()) else {
            return;
        };
        let report: Value = serde_json::from_str(&sarif).unwrap();
        assert_eq!(
            report["runs"][0]["results"].as_array().map(Vec::len),
            Some(0),
            "{name} {report:#}"
        );
        let formatted = bicep(&["format", &name, "--stdout"], &infra()).unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            formatted,
            "run `bicep format {name}`"
        );
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (index, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains("#disable-next-line"))
        {
            assert!(
                lines[..index]
                    .iter()
                    .rev()
                    .take(3)
                    .any(|line| line.trim_start().starts_with("//")),
                "{name}:{index} has no reason"
            );
        }
    }
}

#[test]
fn the_compiled_template_is_that_of_the_files() {
    let Some(built) = bicep(&["build", "main.bicep", "--stdout"], &infra()) else {
        return;
    };
    let kept: Value =
        serde_json::from_slice(&fs::read(infra().join("azuredeploy.json")).unwrap()).unwrap();
    let built: Value = serde_json::from_str(&built).unwrap();
    assert!(
        kept == built,
        "run `bicep build main.bicep --outfile azuredeploy.json` in infra/"
    );
}

#[test]
fn nothing_is_public_shared_or_secret_in_what_is_deployed() {
    for (parameter, private) in [
        ("param privateNetwork = false", false),
        ("param privateNetwork = true", true),
    ] {
        let Some(resources) = deployed(parameter) else {
            return;
        };
        stores_are_closed(&resources, if private { "Disabled" } else { "Enabled" });
        the_site_is_closed(&resources);
        let immutable =
            "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies";
        let name = &of_type(&resources, immutable)[0]["name"];
        assert!(name.as_str().unwrap().contains("/history/"));
        let endpoints = of_type(&resources, "Microsoft.Network/privateEndpoints");
        assert_eq!(endpoints.len(), if private { 4 } else { 0 });
    }
    let template = fs::read_to_string(infra().join("azuredeploy.json")).unwrap();
    for word in ["listKeys(", "listAccountSas(", "securestring", "AccountKey"] {
        let word = word.to_lowercase();
        assert!(!template.to_lowercase().contains(&word), "{word}");
    }
}

/// Storage and the vault: no shared keys, nothing public, roles alone.
fn stores_are_closed(resources: &[Value], open: &str) {
    let accounts = of_type(resources, "Microsoft.Storage/storageAccounts");
    assert_eq!(accounts.len(), 2);
    for account in accounts {
        let is = &account["properties"];
        assert_eq!(
            (&is["allowSharedKeyAccess"], &is["allowBlobPublicAccess"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(
            (&is["minimumTlsVersion"], &is["supportsHttpsTrafficOnly"]),
            (&json!("TLS1_2"), &json!(true))
        );
        assert_eq!(is["publicNetworkAccess"], open);
    }
    let vaults = of_type(resources, "Microsoft.KeyVault/vaults");
    let is = &vaults[0]["properties"];
    assert_eq!(
        (&is["enableRbacAuthorization"], &is["enablePurgeProtection"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(is["publicNetworkAccess"], open);
}

fn the_site_is_closed(resources: &[Value]) {
    let is = &of_type(resources, "Microsoft.Web/sites")[0]["properties"];
    assert_eq!(
        (&is["httpsOnly"], &is["siteConfig"]["ftpsState"]),
        (&json!(true), &json!("Disabled"))
    );
    assert_eq!(is["functionAppConfig"]["runtime"]["name"], "custom");
    let policies = of_type(
        resources,
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    );
    assert!(
        policies.len() == 2
            && policies
                .iter()
                .all(|policy| policy["properties"]["allow"] == false)
    );
}

#[test]
fn every_setting_is_deployed_and_nothing_else() {
    let Some(resources) = deployed("param privateNetwork = false") else {
        return;
    };
    let configs = of_type(&resources, "Microsoft.Web/sites/config");
    let settings = configs
        .iter()
        .find(|config| config["name"].as_str().unwrap().ends_with("/appsettings"))
        .unwrap();
    let deployed: BTreeSet<&str> = settings["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = SETTINGS
        .iter()
        .chain(&SCHEDULES)
        .chain(&PLATFORM)
        .copied()
        .collect();
    assert_eq!(deployed, known);
    let authentication = configs
        .iter()
        .find(|config| {
            config["name"]
                .as_str()
                .unwrap()
                .ends_with("/authsettingsV2")
        })
        .unwrap();
    assert_eq!(
        authentication["properties"]["globalValidation"]["unauthenticatedClientAction"],
        "Return401"
    );
}

#[test]
fn alerts_look_for_codes_that_the_log_has() {
    let alerts = fs::read_to_string(infra().join("modules/alerts.bicep")).unwrap();
    let mut source = String::new();
    read_all(&repository().join("handler"), &mut source);
    let quoted: Vec<&str> = alerts
        .lines()
        .filter(|line| line.contains("query: "))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .collect();
    let codes: Vec<&str> = quoted
        .into_iter()
        .filter(|word| word.contains('_'))
        .collect();
    assert!(codes.len() > 5, "{codes:?}");
    for code in codes {
        assert!(source.contains(&format!("\"{code}\"")), "{code}");
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for file in fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
    {
        if file.is_dir() {
            read_all(&file, into);
        } else if file.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(file).unwrap());
        }
    }
}

#[test]
fn every_role_that_is_assigned_is_in_the_documents() {
    let permissions = fs::read_to_string(repository().join("docs/permissions.md")).unwrap();
    let mut count = 0;
    for file in files() {
        let text = fs::read_to_string(file).unwrap();
        let ids = text
            .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .filter(|word| word.len() == 36 && word.matches('-').count() == 4);
        for id in ids {
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
    let roles = words.filter(|word| word.ends_with(".All"));
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
fn the_grants_compile_with_the_types_of_microsoft_graph() {
    let types = repository().join("../shared/data/microsoft-graph-types/index.json");
    if !types.is_file() {
        return;
    }
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

/// A command of this name that answers as Microsoft Graph does, and notes what it posts.
#[test]
fn the_shell_script_grants_each_role_once() {
    let folder = tempfile::tempdir().unwrap();
    let az = folder.path().join("az");
    fs::write(
        &az,
        r#"#!/usr/bin/env bash
case "$*" in
    *"cloud show"*) echo https://graph.microsoft.com/ ;;
    *"--method post"*) echo "${@: -1}" >> "$(dirname "$0")/posted" ;;
    *"appId eq"*) echo resource ;;
    *"appRoles["*) sed -E "s/.*value=='([^']+)'.*/id-\1/" <<< "$*" ;;
    *"length(@)"*) grep -c "$(sed -E "s/.*appRoleId=='([^']+)'.*/\1/" <<< "$*")" "$(dirname "$0")/posted" 2>/dev/null || true ;;
esac
"#,
    )
    .unwrap();
    run(Command::new("chmod").arg("+x").arg(&az));
    fs::write(folder.path().join("posted"), "").unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let grant = |more: &[&str]| {
        let mut command = Command::new("bash");
        command
            .arg(infra().join("graph/grant.sh"))
            .arg("the-identity")
            .args(more)
            .env("PATH", &path);
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
            .filter(|line| line.ends_with("already"))
            .count(),
        3,
        "{again}"
    );
    let posted = fs::read_to_string(folder.path().join("posted")).unwrap();
    assert_eq!(posted.lines().count(), 5, "{posted}");
    let body: Value = serde_json::from_str(posted.lines().next().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "principalId": "the-identity", "resourceId": "resource", "appRoleId": "id-File.Read.All" })
    );
}

#[test]
fn the_hook_uploads_a_package_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let az = folder.path().join("az");
    fs::write(&az, "#!/bin/sh\necho \"$@\"\n").unwrap();
    run(Command::new("chmod").arg("+x").arg(&az));
    let package = folder.path().join("my package.zip");
    let hook = |group: Option<&str>| {
        let mut command = Command::new("sh");
        command.arg(infra().join("hooks/deploy.sh"));
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        command
            .env("APP_NAME", "the-app")
            .env("PACKAGE_ZIP", &package);
        command.env_remove("AZURE_RESOURCE_GROUP");
        command.envs(group.map(|group| ("AZURE_RESOURCE_GROUP", group)));
        command.output().unwrap()
    };
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    assert!(said(hook(None)).contains("run azd provision"));
    assert!(said(hook(Some("rg"))).contains("is not there"));
    fs::write(&package, "zip").unwrap();
    let output = hook(Some("rg"));
    assert!(output.status.success());
    let asked = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        asked.trim(),
        format!(
            "functionapp deployment source config-zip --resource-group rg --name the-app --src {}",
            package.display()
        )
    );
}
