//! Values of what the template deploys.

use std::{collections::BTreeSet, fs};

use handler::config::{self, SCHEDULES};
use serde_json::{Value, json};

use super::{PLATFORM, deployed, infra, of_type, snapshot};
use crate::support::package::repository;

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
pub(super) fn settings(resources: &[Value]) -> Value {
    let configs = of_type(resources, "Microsoft.Web/sites/config");
    let ends = |config: &&Value| config["name"].as_str().unwrap().ends_with("/appsettings");
    configs.into_iter().find(ends).unwrap()["properties"].clone()
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
