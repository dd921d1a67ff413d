//! The deployed resources: compiled, linted and evaluated by Microsoft's Bicep CLI,
//! then checked against the rules for them.

mod callers;
mod deployed;
mod files;
mod grants;
mod scripts;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{package::repository, tools::outside};
use files::files;

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
