//! `golden-image assess`: evidence of a machine against the checklist.

mod api;
mod checks;
mod evidence;

use std::process::Output;

use serde_json::{Value, json};

use crate::support::app::run;

const SENSOR: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection";

const POLICY: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";

const SHARE: &str = r"\\files\profiles";

/// An image that follows Microsoft's guidance.
fn clean() -> Value {
    let mut excluded: Vec<String> = Vec::new();
    for folder in ["%TEMP%", r"%Windir%\TEMP"] {
        excluded.extend(["VHD", "VHDX"].map(|end| format!(r"{folder}\*\*.{end}")));
    }
    for end in ["VHD", "VHDX"] {
        let files = ["", ".lock", ".meta", ".metadata"];
        excluded.extend(files.map(|more| format!(r"{SHARE}\*\*.{end}{more}")));
    }
    let mut registry = json!({ POLICY: {}, SENSOR: {} });
    registry[format!(r"{SENSOR}\Status")] = Value::Null;
    registry[format!(r"{SENSOR}\48A68F11-7A16-4180-B32C-7F974C7BD783")] = Value::Null;
    registry[format!(r"{POLICY}\DeviceTagging")] = json!({ "Group": "VDI-NonPersistent" });
    registry[r"HKLM\SOFTWARE\FSLogix\Profiles"] = json!({ "Enabled": 1, "VHDLocations": [SHARE] });
    json!({
        "schemaVersion": 1, "role": "golden", "collectedAt": "2026-11-23T06:00:00.0000000Z", "elevated": true,
        "host": { "name": "IMG-01", "isGoldenImage": true },
        "os": { "Version": "10.0.22631", "ProductType": 1 },
        "svc": [{ "Name": "Sense", "State": "Stopped" }, { "Name": "frxsvc", "State": "Running" }],
        "reg": registry,
        "fs": {
            "startup": ["Onboard-NonPersistentMachine.ps1", "WindowsDefenderATPOnboardingScript.cmd"],
            "cyberFileCount": 0,
            "share": { "dirs": [{ "name": "{00000000-0000-0000-0000-261123050000}", "lastWriteTime": "2026-11-23T05:00:00Z" }] },
        },
        "gp": { "psscripts": "[Startup]\r\n0CmdLine=Onboard-NonPersistentMachine.ps1\r\n0Parameters=\r\n", "scripts": null },
        "task": { "LastRunTime": "2026-11-23T05:30:00Z", "LastTaskResult": 0 },
        "policy": [{ "Scope": "MachinePolicy", "ExecutionPolicy": "Undefined" }],
        "events": { "onboarding": null, "rename": null, "boot": "2026-11-23T04:00:00Z" },
        "mpStatus": {
            "AMServiceEnabled": true, "AntivirusEnabled": true, "AMRunningMode": "Normal",
            "RealTimeProtectionEnabled": true, "OnAccessProtectionEnabled": true,
            "IoavProtectionEnabled": true, "BehaviorMonitorEnabled": true,
            "AntivirusSignatureAge": 0, "AntivirusSignatureLastUpdated": "2026-11-23T05:00:00Z", "IsTamperProtected": true,
        },
        "mpPref": {
            "MAPSReporting": 2, "SubmitSamplesConsent": 3, "DisableBlockAtFirstSeen": false, "CloudBlockLevel": 2,
            "CloudExtendedTimeout": 20, "PUAProtection": 1, "EnableNetworkProtection": 2, "EnableFileHashComputation": true,
            "LowThreatDefaultAction": 2, "ModerateThreatDefaultAction": 2, "HighThreatDefaultAction": 2, "SevereThreatDefaultAction": 2,
            "SharedSignaturesPath": r"\\files\wdav-update", "SignatureFallbackOrder": "MicrosoftUpdateServer|MMPC",
            "SignatureUpdateInterval": 8, "DisableCacheMaintenance": 0, "ExclusionPath": excluded, "ExclusionExtension": null,
            "ExclusionProcess": null, "RandomizeScheduleTaskTimes": true, "ScanAvgCPULoadFactor": 50,
            "ScanOnlyIfIdleEnabled": true, "DisableCpuThrottleOnIdleScans": false, "ScanScheduleQuickScanTime": "12:00:00",
            "ScanParameters": 1, "ScanScheduleDay": 8, "CheckForSignaturesBeforeRunningScan": true,
            "EnableLowCpuPriority": true, "ThrottleForScheduledScanOnly": true,
        },
    })
}

fn assess_with(evidence: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["golden-image", "assess", "-"];
    arguments.extend(more);
    run(&arguments, &[], evidence)
}

/// Runs the assessment; returns the exit code and the JSON.
fn assess(evidence: &Value, more: &[&str]) -> (Option<i32>, Value) {
    let more: Vec<&str> = more.iter().copied().chain(["--format", "json"]).collect();
    let output = assess_with(&evidence.to_string(), &more);
    assert!(output.stderr.is_empty());
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

fn item<'a>(assessment: &'a Value, id: &str) -> &'a Value {
    let items = assessment["items"].as_array().unwrap();
    items.iter().find(|item| item["id"] == id).unwrap()
}

fn state(evidence: &Value, id: &str) -> String {
    let (_, assessment) = assess(evidence, &[]);
    item(&assessment, id)["state"].as_str().unwrap().to_owned()
}

#[test]
fn vdi_v1_the_settings_of_the_article_are_found() {
    let mut evidence = clean();
    let settings = &mut evidence["mpPref"];
    settings["SharedSignaturesPath"] = Value::Null;
    settings["SignatureUpdateInterval"] = json!(4);
    settings["SignatureFallbackOrder"] =
        json!("InternalDefinitionUpdateServer|MicrosoftUpdateServer");
    settings["ExclusionExtension"] = json!(["VHD", "VHDX"]);
    settings["ExclusionPath"] = json!([
        r"%TEMP%\*.VHD",
        r"C:\ProgramData\FSLogix",
        r"\\files\profiles\*.VHD*"
    ]);
    settings["ScanParameters"] = json!(2);
    settings["ScanScheduleDay"] = json!(1);
    settings["ScanAvgCPULoadFactor"] = json!(30);
    settings["DisableCpuThrottleOnIdleScans"] = json!(true);
    evidence["reg"][r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Signature Updates"] =
        json!({ "SharedSignatureRoot": r"\\srvshare\WDAV-Update" });
    let (code, assessment) = assess(&evidence, &[]);
    let expected = [
        ("SI-01", "Pass"),
        ("SI-04", "Warn"),
        ("SI-05", "Pass"),
        ("FX-01", "Fail"),
        ("FX-02", "Fail"),
        ("FX-05", "Warn"),
        ("SC-02", "Pass"),
        ("SC-03", "Warn"),
        ("SC-05", "Warn"),
    ];
    for (id, state) in expected {
        assert_eq!(
            item(&assessment, id)["state"],
            state,
            "{}",
            item(&assessment, id)
        );
    }
    assert!(
        item(&assessment, "SC-02")["seen"]
            .as_str()
            .unwrap()
            .contains("longer")
    );
    assert_eq!(code, Some(1));
    assert_eq!(assessment["safeToSeal"], false);
}

#[test]
fn vdi_v2_a_clean_image_is_safe_to_seal() {
    let (code, assessment) = assess(&clean(), &[]);
    for item in assessment["items"].as_array().unwrap() {
        assert!(
            ["Pass", "NotApplicable"].contains(&item["state"].as_str().unwrap()),
            "{item}"
        );
    }
    assert_eq!((code, &assessment["safeToSeal"]), (Some(0), &json!(true)));
    assert_eq!(
        (&assessment["score"], &assessment["confidence"]),
        (&json!(100.0), &json!(100.0))
    );
    assert_eq!(
        (&assessment["host"], &assessment["role"]),
        (&json!("IMG-01"), &json!("golden"))
    );
}

#[test]
fn vdi_v3_hidden_exclusions_cannot_be_assessed_unless_the_registry_shows_them() {
    let hidden = json!(["N/A: Must be an administrator to view exclusions"]);
    let mut evidence = clean();
    let shown = evidence["mpPref"]["ExclusionPath"].clone();
    for list in ["ExclusionPath", "ExclusionExtension", "ExclusionProcess"] {
        evidence["mpPref"][list] = hidden.clone();
    }
    let (code, assessment) = assess(&evidence, &[]);
    for id in ["FX-01", "FX-02", "FX-03", "FX-05"] {
        assert_eq!(item(&assessment, id)["state"], "NotAssessable", "{id}");
    }
    assert_eq!((code, &assessment["safeToSeal"]), (Some(3), &Value::Null));
    let root = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Exclusions";
    let local = r"HKLM\SOFTWARE\Microsoft\Windows Defender\Exclusions";
    for key in ["Extensions", "Processes"] {
        evidence["reg"][format!(r"{root}\{key}")] = Value::Null;
    }
    let names = shown.as_array().unwrap().iter();
    evidence["reg"][format!(r"{root}\Paths")] = names
        .map(|name| (name.as_str().unwrap().to_owned(), json!("0")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    // One of the two keys shows what is excluded, not that nothing else is.
    for key in ["Paths", "Extensions", "Processes"] {
        evidence["reg"][format!(r"{local}\{key}")] =
            json!("N/A: Requested registry access is not allowed.");
    }
    let (code, assessment) = assess(&evidence, &[]);
    for (id, expected) in [
        ("FX-01", "Pass"),
        ("FX-02", "Pass"),
        ("FX-04", "NotApplicable"),
        ("FX-05", "NotAssessable"),
    ] {
        assert_eq!(item(&assessment, id)["state"], expected, "{id}");
    }
    assert_eq!((code, &assessment["safeToSeal"]), (Some(3), &Value::Null));
    for key in ["Paths", "Extensions", "Processes"] {
        evidence["reg"][format!(r"{local}\{key}")] = Value::Null;
    }
    let (code, assessment) = assess(&evidence, &[]);
    assert_eq!((code, &assessment["safeToSeal"]), (Some(0), &json!(true)));
    // Without the local key, what is missing may still be excluded there.
    evidence["reg"][format!(r"{root}\Paths")] = Value::Null;
    evidence["reg"][format!(r"{local}\Paths")] =
        json!("N/A: Requested registry access is not allowed.");
    assert_eq!(state(&evidence, "FX-02"), "NotAssessable");
}

#[test]
fn vdi_v10_an_onboarded_image_is_not_safe_and_an_onboarded_desktop_is_right() {
    let mut evidence = clean();
    evidence["reg"][format!(r"{SENSOR}\Status")] = json!({ "OnboardingState": 1 });
    let (code, assessment) = assess(&evidence, &[]);
    assert_eq!(
        (code, &item(&assessment, "GI-06")["state"]),
        (Some(1), &json!("Fail"))
    );
    assert_eq!(item(&assessment, "GI-06")["severity"], "Critical");
    evidence["role"] = json!("pooled");
    evidence["svc"][0]["State"] = json!("Running");
    evidence["events"]["onboarding"] = json!("2026-11-23T04:10:00Z");
    let (code, assessment) = assess(&evidence, &[]);
    assert_eq!(
        (code, &item(&assessment, "VM-01")["state"]),
        (Some(0), &json!("Pass"))
    );
    assert_eq!(item(&assessment, "VM-02")["state"], "Pass");
    assert_eq!(assessment["safeToSeal"], Value::Null);
}
