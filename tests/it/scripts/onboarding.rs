//! Staging and registering the onboarding script.

use std::process::Command;

use serde_json::json;

use super::{STEPS, assess, said, script};
use crate::support::{
    app::run,
    machine::{Machine, POLICY, SENSOR, engine},
};

#[test]
fn a_task_that_starts_the_onboarding_is_reported() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    machine.write(
        "c/state/tasks.json",
        &json!([
            { "TaskPath": r"\", "TaskName": "Onboard", "Actions": [{ "Execute": "powershell.exe", "Arguments": r"-File \\files\x\Onboard-NonPersistentMachine.ps1" }] },
            { "TaskPath": r"\", "TaskName": "Other", "Actions": [{ "Execute": "calc.exe", "Arguments": null }] },
        ]),
    );
    let assessment = assess(&machine, &[]);
    let items = assessment["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == "GI-03").unwrap();
    assert!(
        item["seen"]
            .as_str()
            .unwrap()
            .ends_with("started by a task: \\Onboard (--startup domain)"),
        "{item:#}"
    );
}

#[test]
fn an_image_whose_sensor_runs_or_is_onboarded_is_not_cleaned() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let text = script(&["clean-image"]);
    machine.change("registry.json", |registry| {
        registry[format!(r"{SENSOR}\Status")] = json!({ "OnboardingState": 1 });
    });
    let before = machine.state();
    let output = machine.run(&text, &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("OnboardingState 1"),
        "{}",
        said(&output)
    );
    assert_eq!(machine.state(), before);
    machine.change("registry.json", |registry| {
        registry[format!(r"{SENSOR}\Status")] = json!({ "OnboardingState": 0 });
    });
    machine.change("c/state/system.json", |system| {
        system["services"][0]["State"] = json!("Running")
    });
    let before = machine.state();
    let output = machine.run(&text, &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("Sense is Running"),
        "{}",
        said(&output)
    );
    assert_eq!(machine.state(), before);
}

#[test]
fn hostile_values_reach_the_machine_as_text() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let tag = "Büro $env:windir; {{share}} #";
    let output = machine.run(&script(&["device-tag", "--tag", tag]), &[], &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        machine.read("registry.json")[format!(r"{POLICY}\DeviceTagging")]["Group"],
        tag
    );
    let share = "\\\\srv\\o'brien\u{2019}$(throw 1)";
    let output = machine.run(
        &script(&["security-intelligence", "--share", share]),
        &[],
        &[],
    );
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        machine.read("c/state/preferences.json")["SharedSignaturesPath"],
        share
    );
    for (name, option, bad) in [
        ("device-tag", "--tag", "a,b"),
        ("security-intelligence", "--share", r"C:\x"),
        ("security-intelligence", "--share", "\\\\a\\b\n"),
        ("fslogix-exclusions", "--profiles", r"\\a\*"),
        ("stage-onboarding", "--package", "\"x"),
        ("scan-settings", "--quick-scan-time", "00:00"),
        ("scan-settings", "--quick-scan-time", "12:3a"),
    ] {
        let output = run(&["golden-image", "script", name, option, bad], &[], "");
        assert_eq!(output.status.code(), Some(2), "{name} {bad}");
    }
}

#[test]
fn the_share_is_filled_by_a_task_that_is_installed_once() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let text = script(&["security-intelligence", "--share", r"\\files\wdav-update"]);
    let first = machine.run(&text, &[], &["-InstallUnpackTask"]);
    assert!(first.status.success(), "{}", said(&first));
    let task = machine.read("c/state/tasks.json");
    assert_eq!(task["TaskName"], "Security intelligence unpacker");
    assert_eq!(task["Triggers"].as_array().unwrap().len(), 3);
    let before = machine.state();
    let again = machine.run(
        &text,
        &["--deny", "Register-*", "--deny", "New-Item*"],
        &["-InstallUnpackTask"],
    );
    assert!(
        again.status.success() && said(&again).contains("already"),
        "{}",
        said(&again)
    );
    assert_eq!(machine.state(), before);
    let unpack = machine.path("c/Program Files/Defender Functions/vdmdlunpack.ps1");
    let parsed = Command::new(engine().unwrap())
        .arg("--parse")
        .arg(unpack)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&parsed.stdout).trim(), "[]");
}

#[test]
fn multiple_entries_stage_and_register_only_the_command_file() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let text = script(&[
        "stage-onboarding",
        "--package",
        r"C:\package",
        "--entry",
        "multiple",
    ]);
    let done = machine.run(&text, &[], &[]);
    assert!(done.status.success(), "{}", said(&done));
    let scripts = machine.path("c/Windows/System32/GroupPolicy/Machine/Scripts");
    assert!(!scripts.join("psscripts.ini").exists());
    assert!(
        !scripts
            .join("Startup/Onboard-NonPersistentMachine.ps1")
            .exists()
    );
    let bytes = std::fs::read(scripts.join("scripts.ini")).unwrap();
    assert_eq!(bytes[..2], [0xff, 0xfe]);
    let words: Vec<u16> = bytes[2..]
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let lines = String::from_utf16(&words).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines,
        [
            "[Startup]",
            "0CmdLine=WindowsDefenderATPOnboardingScript.cmd",
            "0Parameters="
        ]
    );
}

#[test]
fn validate_distinguishes_a_sound_desktop_from_another() {
    let Some(machine) = Machine::neglected() else {
        return;
    };
    let text = script(&["validate"]);
    let output = machine.run(&text, &["--deny", "Set-*", "--deny", "New-Item*"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    // The message names the failure, not only that there is one.
    assert!(
        said(&output).contains("False Sensor runs"),
        "{}",
        said(&output)
    );
    machine.change("c/state/status.json", |status| {
        status
            .as_object_mut()
            .unwrap()
            .remove("AntivirusSignatureAge");
    });
    let output = machine.run(&text, &[], &[]);
    assert!(
        said(&output).contains("False Age of security intelligence"),
        "{}",
        said(&output)
    );
    machine.change("c/state/status.json", |status| {
        status["AntivirusSignatureAge"] = json!(0)
    });
    for arguments in STEPS {
        machine.run(&script(arguments), &[], &[]);
    }
    machine.change("registry.json", |registry| {
        registry[format!(r"{SENSOR}\Status")] = json!({ "OnboardingState": 1 });
    });
    machine.change("c/state/system.json", |system| {
        system["services"][0]["State"] = json!("Running")
    });
    let output = machine.run(&text, &[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
