//! The deployed resources: compiled, linted and evaluated by Microsoft's Bicep CLI,
//! then checked against the rules for them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use handler::{
    config::{self, SCHEDULES},
    outbound::Code,
    server::Role,
};
use serde_json::{Value, json};
use strum::VariantNames;

use crate::support::{
    App,
    host::ClientRequest,
    machine::engine,
    package::repository,
    tools::{AzureCli, outside, python_command, run},
};

/// Settings that the Functions host, App Service or the SDK read.
const PLATFORM: [&str; 6] = [
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
];

/// Runs the Bicep CLI with these arguments; `None` if there is none.
fn bicep(arguments: &[&str], folder: &Path) -> Option<String> {
    let on_path = Command::new("bicep").arg("--version").output().is_ok();
    let program = match on_path {
        true => PathBuf::from("bicep"),
        false => outside(
            "shared/tools/bicep",
            "templates: there is no Bicep CLI on the path",
        )?,
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

/// The resources that the example deploys, with one parameter changed.
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
    snapshot(
        folder.path(),
        &format!("{}\n{parameter}\n", others.join("\n")),
    )
}

/// The resources that a file of parameters deploys.
fn snapshot(folder: &Path, parameters: &str) -> Option<Vec<Value>> {
    fs::write(folder.join("one.bicepparam"), parameters).unwrap();
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
    bicep(&arguments, folder)?;
    let snapshot: Value =
        serde_json::from_slice(&fs::read(folder.join("one.snapshot.json")).unwrap()).unwrap();
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
    let kept = fs::read_to_string(infra().join("azuredeploy.json")).unwrap();
    assert!(
        what_it_says(&kept) == what_it_says(&built),
        "run `bicep build main.bicep --outfile azuredeploy.json` in infra/"
    );
}

/// A compiled template without the version of its compiler.
fn what_it_says(template: &str) -> Value {
    fn without(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("_generator");
                fields.values_mut().for_each(without);
            }
            Value::Array(items) => items.iter_mut().for_each(without),
            _ => {}
        }
    }
    let mut template = serde_json::from_str(template).unwrap();
    without(&mut template);
    template
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
        every_log_goes_to_the_workspace(&resources);
        every_assignment_has_its_own_name(&resources);
        let immutable =
            "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies";
        let name = &of_type(&resources, immutable)[0]["name"];
        assert!(name.as_str().unwrap().contains("/history/"));
        let endpoints = of_type(&resources, "Microsoft.Network/privateEndpoints");
        assert_eq!(endpoints.len(), if private { 4 } else { 0 });
    }
    let template = fs::read_to_string(infra().join("azuredeploy.json")).unwrap();
    for word in [
        "listKeys(",
        "listAccountSas(",
        "securestring",
        "AccountKey",
        "InstrumentationKey",
    ] {
        let word = word.to_lowercase();
        assert!(!template.to_lowercase().contains(&word), "{word}");
    }
}

/// Checks storage and the vault: no shared keys, nothing public, only roles.
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
    let containers = of_type(
        resources,
        "Microsoft.Storage/storageAccounts/blobServices/containers",
    );
    assert_eq!(containers.len(), 4);
    for container in containers {
        assert_eq!(container["properties"]["publicAccess"], "None");
    }
    let vaults = of_type(resources, "Microsoft.KeyVault/vaults");
    let is = &vaults[0]["properties"];
    assert_eq!(
        (&is["enableRbacAuthorization"], &is["enablePurgeProtection"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(is["publicNetworkAccess"], open);
}

/// Checks the diagnostic settings of the app, the vault and both accounts.
fn every_log_goes_to_the_workspace(resources: &[Value]) {
    let logs = of_type(resources, "Microsoft.Insights/diagnosticSettings");
    for of in [
        "/Microsoft.Web/sites/",
        "/vaults/",
        "host/blobServices/",
        "reports/blobServices/",
    ] {
        let is_of = |setting: &&&Value| setting["id"].as_str().unwrap().contains(of);
        let setting = logs.iter().find(is_of).unwrap_or_else(|| panic!("{of}"));
        assert!(
            setting["properties"]["workspaceId"]
                .as_str()
                .unwrap()
                .contains("/workspaces/")
        );
        assert!(!setting["properties"]["logs"].as_array().unwrap().is_empty());
    }
}

/// Checks that a role assignment's name follows from its content.
///
/// A second deployment then makes none twice. All of them are only for the app's
/// identity.
fn every_assignment_has_its_own_name(resources: &[Value]) {
    let assignments = of_type(resources, "Microsoft.Authorization/roleAssignments");
    let names: BTreeSet<&str> = assignments
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!((assignments.len(), names.len()), (7, 7));
    for one in assignments {
        let is = &one["properties"];
        assert_eq!(is["principalType"], "ServicePrincipal");
        assert!(
            is["principalId"]
                .as_str()
                .unwrap()
                .contains("userAssignedIdentities"),
            "{one:#}"
        );
        let id = one["id"].as_str().unwrap();
        let scope = id
            .strip_prefix("[extensionResourceId('")
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_default();
        let is_one_resource = ["/containers/", "/components/", "/vaults/", "host"]
            .iter()
            .any(|kind| scope.contains(kind));
        assert!(
            scope.contains("/resourceGroups/rg/providers/Microsoft.") && is_one_resource,
            "not the entire resource group, nor all reports: {id}"
        );
    }
}

#[test]
fn where_flex_is_not_offered_a_premium_plan_runs_the_same() {
    let Some(resources) = deployed("param hostingPlan = 'premium'") else {
        return;
    };
    stores_are_closed(&resources, "Enabled");
    let is = &of_type(&resources, "Microsoft.Web/sites")[0]["properties"];
    assert_eq!(
        (&is["httpsOnly"], &is["functionAppConfig"]),
        (&json!(true), &Value::Null)
    );
    let site = &is["siteConfig"];
    assert_eq!(
        (&site["ftpsState"], &site["minTlsVersion"]),
        (&json!("Disabled"), &json!("1.2"))
    );
    let plan = of_type(&resources, "Microsoft.Web/serverfarms")[0];
    assert_eq!(plan["sku"]["name"], "EP1");
    let settings = settings(&resources);
    assert_eq!(settings["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert_eq!(settings["FUNCTIONS_EXTENSION_VERSION"], "~4");
}

#[test]
fn the_government_cloud_is_a_matter_of_parameters() {
    for (parameter, name, value) in [
        (
            "param defenderApiUrl = 'https://api-gov.securitycenter.microsoft.us'",
            "DEFENDER_API_URL",
            "https://api-gov.securitycenter.microsoft.us",
        ),
        (
            "param graphUrl = 'https://graph.microsoft.us'",
            "GRAPH_AUDIENCE",
            "https://graph.microsoft.us",
        ),
    ] {
        let Some(resources) = deployed(parameter) else {
            return;
        };
        assert_eq!(settings(&resources)[name], value);
    }
    // By default it follows the cloud in which it is deployed.
    let main = fs::read_to_string(infra().join("main.bicep")).unwrap();
    for host in [
        "api-gov.securitycenter.microsoft.us",
        "graph.microsoft.us",
        "privatelink.vaultcore.usgovcloudapi.net",
    ] {
        assert!(main.contains(host), "{host}");
    }
    for public in [
        "login.microsoftonline.com",
        "management.azure.com",
        "core.windows.net",
        "vault.azure.net'",
    ] {
        assert!(!main.contains(public), "{public} comes from environment()");
    }
}

/// The app settings of a resource, with their values.
fn settings(resources: &[Value]) -> Value {
    let configs = of_type(resources, "Microsoft.Web/sites/config");
    let ends = |config: &&Value| config["name"].as_str().unwrap().ends_with("/appsettings");
    configs.into_iter().find(ends).unwrap()["properties"].clone()
}

/// The checkov checks that are not met, each with the reason.
const SKIPPED: [(&str, &str); 14] = [
    (
        "CKV_AZURE_13",
        "authentication is a resource of its own, authsettingsV2, which it takes for a web app",
    ),
    (
        "CKV_AZURE_17",
        "callers authenticate by token; a client certificate would be a secret to keep",
    ),
    (
        "CKV_AZURE_36",
        "no service of Microsoft reads these accounts past the network",
    ),
    (
        "CKV_AZURE_225",
        "a plan of one region; zones need the premium plan",
    ),
    (
        "CKV_AZURE_63",
        "a custom handler has no IIS log; requests are in Application Insights",
    ),
    ("CKV_AZURE_65", "detailed error pages are of IIS"),
    ("CKV_AZURE_66", "failed request tracing is of IIS"),
    (
        "CKV_AZURE_78",
        "Flex has no FTP and refuses the setting; the premium plan has it",
    ),
    ("CKV_AZURE_80", "there is no .NET in it"),
    (
        "CKV_AZURE_88",
        "nothing is mounted; the package is read-only",
    ),
    (
        "CKV_AZURE_206",
        "copies in another region are the deployer's choice; reports are zone-redundant",
    ),
    ("CKV_AZURE_212", "Flex Consumption scales from zero"),
    ("CKV_AZURE_213", "Flex Consumption has no health check path"),
    (
        "CKV_AZURE_222",
        "playbooks and analysts call it from outside; it accepts only tokens",
    ),
];

#[test]
fn checkov_finds_nothing_that_has_no_reason() {
    let Some(resources) = deployed("param privateNetwork = true") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evaluated.json");
    // It cannot read a template of the newer language version, so it gets the resources.
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0", "resources": resources,
    });
    fs::write(&file, template.to_string()).unwrap();
    let skipped: Vec<&str> = SKIPPED.iter().map(|(id, _)| *id).collect();
    let mut checkov = python_command("infra", "checkov");
    checkov.arg("-f").arg(&file);
    checkov.args([
        "--framework",
        "arm",
        "--output",
        "json",
        "--quiet",
        "--skip-download",
    ]);
    checkov.args(["--skip-check", &skipped.join(",")]);
    let output = checkov.output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let summary = &report["summary"];
    let failed = report["results"]["failed_checks"]
        .as_array()
        .into_iter()
        .flatten();
    let failed: Vec<String> = failed
        .map(|check| format!("{} {}", check["check_id"], check["resource"]))
        .collect();
    assert_eq!(
        (&summary["failed"], &summary["parsing_errors"]),
        (&json!(0), &json!(0)),
        "{failed:?}"
    );
    assert!(summary["passed"].as_u64() > Some(25), "{summary}");
}

#[test]
fn the_workflows_are_sound_and_pin_what_they_use() {
    let folder = repository().join(".github/workflows");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2);
    run(python_command("infra", "actionlint")
        .args(["-no-color"])
        .args(&files));
    run(python_command("infra", "zizmor")
        .args(["--offline", "--pedantic"])
        .args(&files));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\npermissions: {}\n"), "{}", file.display());
        for line in text.lines().filter(|line| line.contains("uses:")) {
            let (_, pin) = line.split_once('@').unwrap();
            let (sha, version) = pin.split_once(" # v").expect("a version next to the hash");
            assert!(
                sha.len() == 40
                    && sha.bytes().all(|b| b.is_ascii_hexdigit())
                    && !version.is_empty(),
                "{line}"
            );
        }
    }
}

#[test]
fn what_app_service_lets_through_is_what_needs_no_token() {
    let app = fs::read_to_string(infra().join("modules/app.bicep")).unwrap();
    let open = app
        .split("var openPaths = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let open: BTreeSet<&str> = open
        .lines()
        .map(|line| line.trim().trim_matches('\''))
        .filter(|line| !line.is_empty())
        .collect();
    let assets = fs::read_to_string(repository().join("handler/routes/explorer.rs")).unwrap();
    let named = assets.lines().filter_map(|line| {
        line.trim()
            .strip_prefix('"')?
            .split_once("\" => ")
            .map(|(name, _)| name)
    });
    let mut expected: BTreeSet<String> = named
        .map(|name| {
            format!("/api/explorer/{name}")
                .trim_end_matches('/')
                .to_owned()
        })
        .collect();
    expected.insert("/api/health".to_owned());
    expected.insert("/api/explorer".to_owned());
    assert_eq!(open, expected.iter().map(String::as_str).collect());
}

#[test]
fn every_timer_has_its_schedule() {
    let Some(resources) = deployed("param privateNetwork = false") else {
        return;
    };
    let settings = settings(&resources);
    let mut found = 0;
    for folder in fs::read_dir(repository().join("functions"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for function in fs::read_dir(folder.path()).unwrap().flatten() {
            let text =
                fs::read_to_string(function.path().join("function.json")).unwrap_or_default();
            let Some(name) = text
                .split("\"schedule\": \"%")
                .nth(1)
                .and_then(|rest| rest.split('%').next())
            else {
                continue;
            };
            found += 1;
            let schedule = settings[name].as_str().unwrap_or_default();
            assert_eq!(schedule.split(' ').count(), 6, "{name}");
        }
    }
    assert_eq!(found, SCHEDULES.len());
}

fn the_site_is_closed(resources: &[Value]) {
    let is = &of_type(resources, "Microsoft.Web/sites")[0]["properties"];
    assert_eq!(is["httpsOnly"], true);
    // Flex refuses other properties, such as `ftpsState`, with error 51021.
    assert_eq!(
        is["siteConfig"],
        json!({ "minTlsVersion": "1.2", "http20Enabled": true })
    );
    assert_eq!(is["functionAppConfig"]["runtime"]["name"], "custom");
    let settings = settings(resources);
    assert_eq!(
        settings["AzureWebJobsStorage__credential"],
        "managedidentity"
    );
    assert!(
        settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
            .as_str()
            .unwrap()
            .contains(";Authorization=AAD")
    );
    for one in of_type(resources, "Microsoft.Insights/components") {
        assert_eq!(one["properties"]["DisableLocalAuth"], true);
    }
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
    let known: BTreeSet<&str> = [&config::settings()[..], SCHEDULES, &PLATFORM]
        .concat()
        .into_iter()
        .collect();
    assert_eq!(deployed, known);
}

/// The gate of the app.
///
/// These are the state of App Service authentication, and the settings `API_AUTH`
/// and `API_AUDIENCE` of the executable.
fn gate(parameter: &str) -> Option<(Value, Value, Value)> {
    let resources = deployed(parameter)?;
    let configs = of_type(&resources, "Microsoft.Web/sites/config");
    let ends = |config: &&Value| {
        let name = config["name"].as_str();
        name.is_some_and(|name| name.ends_with("/authsettingsV2"))
    };
    let is = configs.into_iter().find(ends).unwrap()["properties"].clone();
    assert_eq!(
        is["globalValidation"]["unauthenticatedClientAction"],
        "Return401"
    );
    let platform = is["platform"]["enabled"].clone();
    assert_eq!(is["globalValidation"]["requireAuthentication"], platform);
    let directory = &is["identityProviders"]["azureActiveDirectory"];
    assert_eq!(directory["enabled"], platform);
    let settings = settings(&resources);
    Some((
        platform,
        settings["API_AUTH"].clone(),
        settings["API_AUDIENCE"].clone(),
    ))
}

#[test]
fn the_app_starts_closed_and_opens_to_the_callers_of_one_registration() {
    let client = "22222222-3333-4444-5555-666666666666";
    let Some(open) = gate("param privateNetwork = false") else {
        return;
    };
    assert_eq!(open, (json!(true), json!("entra"), json!(client)));
    let (platform, auth, audience) = gate("param apiClientId = ''").unwrap();
    assert_eq!((platform, auth), (json!(false), json!("entra")));
    assert_eq!(
        audience,
        uuid::Uuid::nil().to_string(),
        "no application has this id, so no token is for it"
    );
    let by_key = gate("param apiAuth = 'host'").unwrap();
    assert_eq!(by_key, (json!(false), json!("host"), json!("")));
}

/// The template's settings before a registration exists start the executable.
#[tokio::test]
async fn an_app_that_no_one_may_call_yet_starts_and_says_401() {
    let no_app = uuid::Uuid::nil().to_string();
    let app = App::start_guarded(&[("API_AUDIENCE", &no_app)]).await;
    let health = app.send(ClientRequest::get("/api/health")).await;
    assert_eq!(health.status, 200);
    let token = app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]));
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    let request = ClientRequest::get("/api/hashes/x").with(&headers);
    assert_eq!(app.send(request).await.problem(401), "token_refused");
}

#[test]
fn a_subnet_is_delegated_to_what_runs_in_it() {
    for (plan, service) in [
        ("flex", "Microsoft.App/environments"),
        ("premium", "Microsoft.Web/serverFarms"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let module = fs::read(infra().join("modules/network.bicep")).unwrap();
        fs::write(folder.path().join("network.bicep"), module).unwrap();
        let text = format!(
            "using 'network.bicep'\nparam location = 'westeurope'\nparam name = 'defender'\nparam tags = {{}}\nparam addressPrefix = '10.60.0.0/24'\nparam isFlex = {}\nparam zones = ['a', 'b', 'c']\nparam targets = []\n",
            plan == "flex"
        );
        let Some(resources) = snapshot(folder.path(), &text) else {
            return;
        };
        let networks = of_type(&resources, "Microsoft.Network/virtualNetworks");
        let subnets = networks[0]["properties"]["subnets"].to_string();
        assert!(subnets.contains(service), "{plan} {subnets}");
        assert_eq!(subnets.matches("serviceName").count(), 1, "{subnets}");
    }
}

/// The variables of `azd` are parameters of the template it deploys.
#[test]
fn azd_gives_the_template_what_the_documents_name() {
    let read = |file: &str| fs::read_to_string(repository().join(file)).unwrap();
    let given: Value = serde_json::from_str(&read("infra/azd.parameters.json")).unwrap();
    let template = read("infra/azd.bicep");
    let documents = read("docs/deploy.md");
    let given = given["parameters"].as_object().unwrap();
    for (name, value) in given {
        assert!(template.contains(&format!("param {name} ")), "{name}");
        let variable = value["value"].as_str().unwrap();
        let variable = variable.trim_start_matches("${").split(['=', '}']).next();
        let variable = variable.unwrap();
        assert!(
            variable.starts_with("AZURE_") || documents.contains(&format!("`{variable}`")),
            "{variable}"
        );
    }
    assert_eq!(template.matches("\nparam ").count(), given.len());
    let project = read("azure.yaml");
    for file in ["infra/hooks/deploy.sh", "infra/hooks/deploy.ps1"] {
        assert!(project.contains(file) && repository().join(file).is_file());
    }
    assert!(project.contains("module: azd\n"));
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
        let is_logged = source.contains(&format!("\"{code}\""));
        assert!(is_logged || Code::VARIANTS.contains(&code), "{code}");
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

#[test]
fn the_scripts_for_windows_parse() {
    let Some(engine) = engine() else { return };
    let scripts = ["graph/grant.ps1", "hooks/deploy.ps1"].map(|script| infra().join(script));
    let parsed = Command::new(engine)
        .arg("--parse")
        .args(&scripts)
        .output()
        .unwrap();
    assert!(
        parsed.status.success(),
        "{}",
        String::from_utf8_lossy(&parsed.stdout)
    );
}

#[test]
fn the_hook_uploads_a_package_and_says_what_is_missing() {
    let az = AzureCli::answering("echo \"$@\"\n");
    let package = az.file("my package.zip");
    let hook = |group: Option<&str>, uploads: &str| {
        let mut command = Command::new("sh");
        command.arg(infra().join("hooks/deploy.sh"));
        command.env("PATH", &az.path);
        command
            .env("APP_NAME", "the-app")
            .env("AZURE_SUBSCRIPTION_ID", "the-subscription")
            .env("UPLOADS_PACKAGE", uploads)
            .env("PACKAGE_ZIP", &package);
        command.env_remove("AZURE_RESOURCE_GROUP");
        command.envs(group.map(|group| ("AZURE_RESOURCE_GROUP", group)));
        command.output().unwrap()
    };
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    assert!(said(hook(None, "true")).contains("run azd provision"));
    assert!(said(hook(Some("rg"), "true")).contains("does not exist"));
    fs::write(&package, "zip").unwrap();
    let output = hook(Some("rg"), "true");
    assert!(output.status.success());
    let asked = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        asked.trim(),
        format!(
            "functionapp deployment source config-zip --subscription the-subscription --resource-group rg --name the-app --src {}",
            package.display()
        )
    );
    let elsewhere = hook(Some("rg"), "false");
    assert!(elsewhere.status.success() && elsewhere.stdout.is_empty());
    assert!(said(elsewhere).contains("PACKAGE_URI"));
}
