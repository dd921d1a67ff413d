//! The scripts and hooks of azd, and what alerts look for.

use std::{fs, process::Command};

use handler::outbound::Code;
use serde_json::Value;
use strum::VariantNames;

use super::{infra, read_all};
use crate::support::{machine::engine, package::repository, tools::AzureCli};

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
