//! The files of the template: format, lints, checkov, workflows.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{bicep, deployed, infra};
use crate::support::{
    package::repository,
    tools::{python_command, run},
};

pub(super) fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in [infra(), infra().join("modules")] {
        let all = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        files.extend(all.filter(|path| path.extension().is_some_and(|end| end == "bicep")));
    }
    files
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
