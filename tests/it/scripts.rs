//! The scripts of `golden-image script`, run by Microsoft's `PowerShell` engine on
//! simulated machines, then looked at by our own collector and checklist.

mod onboarding;

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{
    app::run,
    machine::{Machine, SENSOR, engine},
};

/// The scripts that run on a golden image, with their values.
const STEPS: [&[&str]; 5] = [
    &["stage-onboarding", "--package", r"C:\package"],
    &["device-tag"],
    &["security-intelligence", "--share", r"\\files\wdav-update"],
    &[
        "fslogix-exclusions",
        "--profiles",
        r"\\files\profiles",
        "--cloud-cache",
    ],
    &["scan-settings", "--quick-scan-time", "12:30"],
];

fn script(arguments: &[&str]) -> String {
    let arguments = [&["golden-image", "script"], arguments].concat();
    let output = run(&arguments, &[], "");
    assert!(output.status.success(), "{arguments:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Assesses the machine with our own collector and checklist.
fn assess(machine: &Machine, more: &[&str]) -> Value {
    let out = [r"-OutFile", r"C:\evidence.json"];
    let output = machine.run(
        &script(&["collect-evidence"]),
        &[],
        &[&out[..], more].concat(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let evidence = std::fs::read_to_string(machine.path("c/evidence.json")).unwrap();
    std::fs::remove_file(machine.path("c/evidence.json")).unwrap();
    assert!(!evidence.contains("topsecret"), "{evidence}");
    let assessed = run(
        &["golden-image", "assess", "-", "--format", "json"],
        &[],
        &evidence,
    );
    serde_json::from_slice(&assessed.stdout).unwrap_or_else(|_| panic!("{assessed:?}\n{evidence}"))
}

fn failing(assessment: &Value) -> Vec<&str> {
    let items = assessment["items"].as_array().unwrap();
    let bad = items
        .iter()
        .filter(|item| !["Pass", "NotApplicable"].contains(&item["state"].as_str().unwrap()));
    bad.map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn every_script_parses_for_windows_powershell_and_is_plain_ascii() {
    let mut grammar = tree_sitter::Parser::new();
    grammar
        .set_language(&tree_sitter_powershell::LANGUAGE.into())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hostile = r"\\files\o'brien$(calc)`;x";
    let all: [&[&str]; 8] = [
        &["collect-evidence"],
        &[
            "stage-onboarding",
            "--package",
            r"C:\it's\{{tag}}",
            "--entry",
            "multiple",
        ],
        &["clean-image"],
        &["device-tag", "--tag", "Büro $calc; {{share}}"],
        &["security-intelligence", "--share", hostile],
        &[
            "fslogix-exclusions",
            "--profiles",
            hostile,
            "--profiles",
            "\\\\srv\\\u{2019}; calc #",
            "--cloud-cache",
        ],
        &["scan-settings"],
        &["validate"],
    ];
    for arguments in all {
        let text = script(arguments);
        assert!(
            text.is_ascii() && !text.contains("{{package") && !text.contains('\r'),
            "{arguments:?}"
        );
        let tree = grammar.parse(&text, None).unwrap();
        assert!(
            !tree.root_node().has_error(),
            "{arguments:?} {}",
            tree.root_node()
        );
        std::fs::write(folder.path().join(format!("{}.ps1", arguments[0])), text).unwrap();
    }
    let Some(engine) = engine() else { return };
    let files = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path());
    let parsed = Command::new(engine)
        .arg("--parse")
        .args(files)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&parsed.stdout).trim(), "[]");
}

#[test]
fn a_neglected_image_is_fixed_by_the_scripts_and_they_do_nothing_twice() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let before = assess(&machine, &[]);
    assert_eq!(before["safeToSeal"], json!(false));
    for id in [
        "GI-01", "GI-03", "GI-07", "GI-10", "GI-11", "GI-13", "SI-01", "FX-02", "FX-04", "SC-01",
        "AV-06", "SC-03",
    ] {
        assert!(
            failing(&before).contains(&id),
            "{id} {:?}",
            failing(&before)
        );
    }
    let clean: &[&str] = &["clean-image"];
    for arguments in [clean].into_iter().chain(STEPS) {
        let text = script(arguments);
        let untouched = machine.state();
        let tried = machine.run(&text, &[], &["-WhatIf"]);
        assert!(
            tried.status.success() && said(&tried).contains("What if"),
            "{arguments:?} {}",
            said(&tried)
        );
        assert_eq!(machine.state(), untouched, "{arguments:?} -WhatIf");
        let done = machine.run(&text, &[], &[]);
        assert!(done.status.success(), "{arguments:?} {}", said(&done));
        let changed = machine.state();
        assert_ne!(changed, untouched, "{arguments:?}");
        let again = machine.run(
            &text,
            &[
                "--deny",
                "Set-*",
                "--deny",
                "Add-Mp*",
                "--deny",
                "New-Item*",
                "--deny",
                "Remove-*",
                "--deny",
                "Copy-Item",
            ],
            &[],
        );
        assert!(again.status.success(), "{arguments:?} {}", said(&again));
        assert_eq!(machine.state(), changed, "{arguments:?} twice");
    }
    // No script starts before a person presses OK in gpedit.msc.
    assert_eq!(failing(&assess(&machine, &[])), ["GI-03", "AV-12"]);
    let gpt = "[General]\r\ngPCMachineExtensionNames=[{42B5FAAE-6536-11D2-AE5A-0000F87571E3}{40B6664F-4972-11D1-A7CA-0000F87571E3}]\r\n";
    std::fs::write(machine.path("c/Windows/System32/GroupPolicy/gpt.ini"), gpt).unwrap();
    let after = assess(&machine, &[]);
    assert_eq!(failing(&after), ["AV-12"], "{after:#}");
    assert_eq!(
        (&after["safeToSeal"], &after["confidence"]),
        (&json!(true), &json!(100.0))
    );
    assert_eq!(machine.read("registry.json")[SENSOR]["Keep"], 1);
}

#[test]
fn the_collector_changes_nothing_and_reports_what_it_may_not_see() {
    let Some(mut machine) = Machine::neglected() else {
        return;
    };
    machine.elevated = false;
    machine.change("c/state/preferences.json", |preferences| {
        preferences["ExclusionPath"] = json!(["N/A: Must be an administrator to view exclusions"]);
    });
    let before = machine.state();
    let text = script(&["collect-evidence"]);
    let denied = [
        "Set-*",
        "New-Item*",
        "Remove-*",
        "Add-Mp*",
        "Copy-*",
        "Move-*",
        "Start-*",
        "Stop-*",
        "Register-*",
        "Invoke-*",
    ];
    let denied: Vec<&str> = denied.iter().flat_map(|name| ["--deny", *name]).collect();
    let output = machine.run(
        &text,
        &denied,
        &["-OutFile", r"C:\evidence.json", "-Role", "Pooled"],
    );
    assert!(output.status.success(), "{}", said(&output));
    let evidence = machine.read("c/evidence.json");
    std::fs::remove_file(machine.path("c/evidence.json")).unwrap();
    assert_eq!(machine.state(), before);
    assert_eq!(
        (
            &evidence["role"],
            &evidence["elevated"],
            &evidence["schemaVersion"]
        ),
        (&json!("pooled"), &json!(false), &json!(1))
    );
    assert!(
        evidence["fs"]["cyberFileCount"]
            .as_str()
            .unwrap()
            .starts_with("N/A:"),
        "{evidence:#}"
    );
    let assessment = assess(&machine, &[]);
    let items = assessment["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == "GI-11").unwrap();
    assert_eq!(item["state"], "NotAssessable", "{item:#}");
}

#[test]
fn a_task_of_the_domain_needs_only_the_files() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let text = script(STEPS[0]);
    let output = machine.run(&text, &[], &["-NoRegistration"]);
    assert!(
        output.status.success() && said(&output).contains("Nothing on this image starts them"),
        "{}",
        said(&output)
    );
    let scripts = machine.path("c/Windows/System32/GroupPolicy/Machine/Scripts");
    assert!(
        scripts
            .join("Startup/Onboard-NonPersistentMachine.ps1")
            .is_file()
    );
    assert!(!scripts.join("psscripts.ini").exists());
}

#[test]
fn a_cache_that_cannot_be_listed_leaves_the_registry_to_be_cleaned() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let refused = "function Get-ChildItem { throw 'Access to the path is denied.' }\n";
    let text = script(&["clean-image"]).replace("$left = @()", &format!("{refused}$left = @()"));
    let output = machine.run(&text, &[], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("cannot be listed"),
        "{}",
        said(&output)
    );
    assert_eq!(machine.read("registry.json")[SENSOR].get("senseGuid"), None);
}
