//! `golden-image assess`: evidence of a machine against the checklist.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{App, app::run, host::ClientRequest};

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
fn exclusions_of_drives_and_open_folders_fail_however_they_are_written() {
    let broad = [
        r"%SystemDrive%\",
        "%SystemDrive%",
        r"%SystemDrive%\Users",
        "C:/",
        "c:/users",
        r"\\?\C:\",
        r"C:\.",
        r"D:\Users",
        "%HOMEDRIVE%",
        "%ProgramFiles%",
        r"%TEMP%\*.*",
        r"C:\Users\*.*",
        r"C:\*",
        r"%Public%\*",
        r"C:\Windows\.\Temp",
    ];
    for path in broad {
        let mut evidence = clean();
        let paths = evidence["mpPref"]["ExclusionPath"].as_array_mut().unwrap();
        paths.push(json!(path));
        let (code, assessment) = assess(&evidence, &[]);
        assert_eq!(
            (code, &item(&assessment, "FX-05")["state"]),
            (Some(1), &json!("Fail")),
            "{path}"
        );
    }
    for extension in ["*", "exe", ".ps1", "*.dll"] {
        let mut evidence = clean();
        evidence["mpPref"]["ExclusionExtension"] = json!([extension]);
        assert_eq!(state(&evidence, "FX-05"), "Fail", "{extension}");
    }
    for path in [r"C:\a\?\?\?\?\?\?\?\x", r"%AppData%\x", r"X:\profiles"] {
        let mut evidence = clean();
        let paths = evidence["mpPref"]["ExclusionPath"].as_array_mut().unwrap();
        paths.push(json!(path));
        assert_eq!(state(&evidence, "FX-05"), "Warn", "{path}");
    }
    let mut evidence = clean();
    evidence["mpPref"]["ExclusionPath"]
        .as_array_mut()
        .unwrap()
        .push(json!(r"C:\ProgramData\Contoso\App\*.log"));
    assert_eq!(state(&evidence, "FX-05"), "Pass");
}

#[test]
fn a_refusal_in_any_language_is_not_an_exclusion() {
    for refusal in [
        "N/V: Administratorrechte erforderlich",
        "該当なし：除外を表示するには管理者である必要があります",
        " 不适用：必须是管理员才能查看排除项",
    ] {
        let mut evidence = clean();
        for kind in ["ExclusionPath", "ExclusionExtension", "ExclusionProcess"] {
            evidence["mpPref"][kind] = json!([refusal]);
        }
        for id in ["FX-01", "FX-02", "FX-05", "FX-06"] {
            assert_eq!(state(&evidence, id), "NotAssessable", "{id} {refusal}");
        }
    }
}

#[test]
fn a_script_counts_as_registered_only_where_it_would_run() {
    let of = |psscripts: Value, scripts: Value| {
        let mut evidence = clean();
        evidence["gp"]["psscripts"] = psscripts;
        evidence["gp"]["scripts"] = scripts;
        state(&evidence, "GI-03")
    };
    let good = || {
        json!(
            "\u{feff}\r\n[Startup]\r\n0CmdLine=Onboard-NonPersistentMachine.ps1\r\n0Parameters=\r\n"
        )
    };
    assert_eq!(of(good(), Value::Null), "Pass");
    assert_eq!(
        of(
            json!([
                "[Startup]",
                r"1CmdLine=\\files\x\ONBOARD-nonpersistentmachine.ps1"
            ]),
            Value::Null
        ),
        "Pass"
    );
    for psscripts in [
        "[Startup]\n;0CmdLine=Onboard-NonPersistentMachine.ps1",
        "[Startup]\n0CmdLine=x\\NoOnboard-NonPersistentMachine.ps1.bak",
        "[Startup]\n0CmdLine=\n0Parameters=cmdline Onboard-NonPersistentMachine.ps1",
        "[Shutdown]\n0CmdLine=Onboard-NonPersistentMachine.ps1",
        "0CmdLine=Onboard-NonPersistentMachine.ps1",
    ] {
        assert_eq!(of(json!(psscripts), Value::Null), "Fail", "{psscripts}");
    }
    for scripts in [
        "[Startup]\n0CmdLine=WindowsDefenderATPOnboardingScript.cmd",
        "[Startup]\n0CmdLine=cmd.exe\n0Parameters=/c WindowsDefenderATPOnboardingScript.cmd",
    ] {
        assert_eq!(of(good(), json!(scripts)), "Fail", "{scripts}");
    }
    assert_eq!(of(json!(["N/A: x"]), Value::Null), "NotAssessable");
    assert_eq!(of(good(), json!("N/A: x")), "NotAssessable");
    let mut evidence = clean();
    evidence["gp"]["tasks"] = json!(["\\Onboard"]);
    assert_eq!(state(&evidence, "GI-03"), "Warn");
    let mut evidence = clean();
    evidence["gp"]["gpt"] = json!("[General]\nVersion=1");
    assert_eq!(state(&evidence, "GI-03"), "Warn");
}

#[test]
fn what_is_not_reported_or_not_possible_is_not_a_pass() {
    let check = |change: &dyn Fn(&mut Value), id: &str, expected: &str| {
        let mut evidence = clean();
        change(&mut evidence);
        assert_eq!(state(&evidence, id), expected, "{id}");
    };
    check(
        &|e| e["svc"] = json!([{ "Name": "frxsvc", "State": "Running" }]),
        "GI-05",
        "NotAssessable",
    );
    for policy in ["N/A: x", "unheard of", ""] {
        check(
            &|e| e["policy"] = json!([{ "Scope": "MachinePolicy", "ExecutionPolicy": policy }]),
            "GI-04",
            "NotAssessable",
        );
    }
    for policy in [" AllSigned", "Default"] {
        check(
            &|e| e["policy"] = json!([{ "Scope": "MachinePolicy", "ExecutionPolicy": policy }]),
            "GI-04",
            "Fail",
        );
    }
    check(
        &|e| e["mpPref"]["DisableCacheMaintenance"] = json!("N/A: x"),
        "SI-07",
        "NotAssessable",
    );
    check(
        &|e| e["mpPref"]["SharedSignaturesPath"] = json!(r"\\?\C:\x"),
        "SI-01",
        "Fail",
    );
    for run in ["9999-12-31T23:59:59.9999999Z", "2090-01-01T00:00:00Z"] {
        check(
            &|e| e["task"]["LastRunTime"] = json!(run),
            "SI-06",
            "NotAssessable",
        );
    }
    check(
        &|e| e["mpStatus"]["AntivirusSignatureLastUpdated"] = Value::Null,
        "SI-06",
        "NotAssessable",
    );
    let share = |time: &'static str| {
        move |e: &mut Value| {
            e["collectedAt"] = json!("2026-11-23T06:00:00Z");
            e["fs"]["share"]["dirs"] = json!([{ "name": "{00000000-0000-0000-0000-261124050000}", "lastWriteTime": time }]);
        }
    };
    check(&share("2026-11-22T06:00:00Z"), "SI-03", "Pass");
    check(&share("2026-11-22T05:59:00Z"), "SI-03", "Warn");
    check(&share("2026-11-20T05:59:00Z"), "SI-03", "Fail");
    check(&share("2027-11-20T05:59:00Z"), "SI-03", "NotAssessable");
}

#[test]
fn every_place_of_profiles_counts_and_only_shares_do() {
    let profiles = r"HKLM\SOFTWARE\FSLogix\Profiles";
    let of = |change: &dyn Fn(&mut Value)| {
        let mut evidence = clean();
        change(&mut evidence["reg"][profiles]);
        state(&evidence, "FX-02")
    };
    assert_eq!(of(&|_| {}), "Pass");
    for other in [
        "//other/share",
        r"%SHARE%\vhd",
        r"type=smb,ConnectionString=\\c\d",
    ] {
        let with_another = |key: &mut Value| {
            let first = key["VHDLocations"].clone();
            let first = first
                .as_array()
                .map_or(first.clone(), |list| list[0].clone());
            key["VHDLocations"] = json!([first, other]);
        };
        assert_eq!(of(&with_another), "Fail", "{other}");
    }
    assert_eq!(
        of(&|key| key["VHDLocations"] = json!(["profiles"])),
        "NotAssessable"
    );
    assert_eq!(
        of(&|key| *key = json!({ "Enabled": 1, "CCDLocations": "type=azure" })),
        "NotApplicable"
    );
    assert_eq!(of(&|key| *key = json!({ "Enabled": 0 })), "Warn");
    assert_eq!(
        of(&|key| *key = json!({ "Enabled": "N/A: x" })),
        "NotAssessable"
    );
}

#[test]
fn the_collector_says_of_which_machine_the_evidence_is() {
    let mut evidence = clean();
    evidence.as_object_mut().unwrap().remove("role");
    evidence["host"]["isGoldenImage"] = json!(false);
    assert_eq!(assess(&evidence, &[]).1["role"], "pooled");
}

#[test]
fn evidence_of_another_language_and_empty_lists_are_never_a_pass() {
    let mut evidence = clean();
    let refusal = "k. A.: Zum Anzeigen der Ausschlüsse müssen Sie Administrator sein";
    for kind in ["ExclusionPath", "ExclusionExtension", "ExclusionProcess"] {
        evidence["mpPref"][kind] = json!([refusal]);
    }
    for id in ["FX-01", "FX-02", "FX-05"] {
        assert_eq!(state(&evidence, id), "NotAssessable", "{id}");
    }
    let nameless = json!([{ "Name": "WinDefend", "State": "Running" }, { "State": "Running" }]);
    for none in [
        json!([]),
        Value::Null,
        json!({}),
        json!(["x"]),
        nameless,
        json!([{ "Name": "N/A: x" }]),
    ] {
        evidence["svc"] = none;
        let (code, assessment) = assess(&evidence, &[]);
        assert_eq!(item(&assessment, "GI-05")["state"], "NotAssessable");
        assert_eq!((code, &assessment["safeToSeal"]), (Some(3), &Value::Null));
    }
}

#[test]
fn vdi_v4_without_fslogix_its_items_do_not_apply() {
    let mut evidence = clean();
    evidence["svc"] = json!([{ "Name": "Sense", "State": "Stopped" }, { "Name": "WinDefend", "State": "Running" }]);
    evidence["reg"][r"HKLM\SOFTWARE\FSLogix\Profiles"] = Value::Null;
    let (_, assessment) = assess(&evidence, &[]);
    for id in [
        "FX-00", "FX-01", "FX-02", "FX-03", "FX-04", "FX-05", "FX-06",
    ] {
        assert_eq!(item(&assessment, id)["state"], "NotApplicable", "{id}");
    }
}

#[test]
fn vdi_v5_a_pattern_of_one_level_fails_with_the_reason() {
    let mut evidence = clean();
    evidence["mpPref"]["ExclusionPath"] = json!(r"\\FILES\profiles\*.VHDX");
    let (_, assessment) = assess(&evidence, &[]);
    let found = item(&assessment, "FX-02");
    assert_eq!(found["state"], "Fail");
    assert!(
        found["seen"].as_str().unwrap().contains("last folder"),
        "{found}"
    );
}

#[test]
fn vdi_v6_the_share_that_is_not_covered_is_named() {
    let mut evidence = clean();
    evidence["reg"][r"HKLM\SOFTWARE\FSLogix\Profiles"]["VHDLocations"] =
        json!([SHARE, r"\\other\vhd"]);
    let (_, assessment) = assess(&evidence, &[]);
    let found = item(&assessment, "FX-02");
    assert_eq!(found["state"], "Fail");
    let seen = found["seen"].as_str().unwrap();
    assert!(
        seen.contains(r"\\other\vhd") && !seen.contains(SHARE),
        "{seen}"
    );
}

#[test]
fn vdi_v7_the_forms_of_windows_powershell_are_read_as_the_clean_form() {
    let (_, plain) = assess(&clean(), &[]);
    let mut evidence = clean();
    evidence["collectedAt"] = json!("/Date(1795413600000)/");
    evidence["task"]["LastRunTime"] = json!({ "value": "/Date(1795411800000)/", "DateTime": "Montag, 23. November 2026 06:30:00" });
    evidence["mpPref"]["ScanScheduleQuickScanTime"] =
        json!({ "Ticks": 432_000_000_000_u64, "Hours": 12 });
    evidence["policy"] = json!({ "Scope": 4, "ExecutionPolicy": 5 });
    evidence["reg"][r"HKLM\SOFTWARE\FSLogix\Profiles"]["VHDLocations"] = json!(SHARE);
    let text = serde_json::to_string(&evidence)
        .unwrap()
        .replace("/Date(", "\\/Date(");
    let bytes: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence.json");
    std::fs::write(&file, bytes).unwrap();
    let output = run(
        &[
            "golden-image",
            "assess",
            file.to_str().unwrap(),
            "--format",
            "json",
        ],
        &[],
        "",
    );
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&read["summary"], &read["score"]),
        (&plain["summary"], &plain["score"])
    );
    assert_eq!(read["asOf"], "2026-11-23T06:00:00Z");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn vdi_v8_the_age_of_security_intelligence_has_three_steps() {
    for (age, expected) in [
        (4_294_967_295_u32, "Fail"),
        (65_535, "Fail"),
        (4, "Fail"),
        (2, "Warn"),
        (1, "Pass"),
    ] {
        let mut evidence = clean();
        evidence["mpStatus"]["AntivirusSignatureAge"] = json!(age);
        assert_eq!(state(&evidence, "AV-04"), expected, "{age}");
    }
}

#[test]
fn vdi_v9_the_defaults_of_windows_cancel_the_processor_limit() {
    let mut evidence = clean();
    evidence["mpPref"]["DisableCpuThrottleOnIdleScans"] = json!(true);
    assert_eq!(state(&evidence, "SC-03"), "Warn");
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

#[test]
fn vdi_v15_a_tag_that_breaks_the_portal_fails() {
    for tag in ["x".repeat(201), "VDI,NonPersistent".into(), "Other".into()] {
        let mut evidence = clean();
        evidence["reg"][format!(r"{POLICY}\DeviceTagging")]["Group"] = json!(tag);
        assert_eq!(state(&evidence, "GI-13"), "Fail", "{tag}");
    }
}

#[test]
fn every_part_that_is_missing_is_not_assessable_and_never_safe() {
    for part in ["svc", "reg", "fs", "gp", "mpStatus", "mpPref"] {
        let mut evidence = clean();
        evidence.as_object_mut().unwrap().remove(part);
        let (code, assessment) = assess(&evidence, &[]);
        assert_eq!(
            (code, &assessment["safeToSeal"]),
            (Some(3), &Value::Null),
            "{part}"
        );
        assert!(assessment["confidence"].as_f64().unwrap() < 100.0, "{part}");
    }
}

#[test]
fn evidence_that_is_truncated_or_of_another_version_is_refused() {
    let complete = clean().to_string();
    let mut other = clean();
    other["schemaVersion"] = json!(2);
    let cases = [
        (
            complete[..complete.len() / 2].to_owned(),
            "not complete JSON",
        ),
        (other.to_string(), "schemaVersion 2"),
        ("{\"a\":1}".into(), "not evidence"),
        ("[]".into(), "not evidence"),
        (String::new(), "not complete JSON"),
    ];
    for (evidence, message) in cases {
        let output = assess_with(&evidence, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.contains(message), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn d03_d08_hostile_names_stay_text_in_every_output() {
    let mut evidence = clean();
    evidence["host"]["name"] = json!("<img src=x onerror=alert(1)>\u{202e}");
    evidence["fs"]["startup"] = json!(["\"><script>x</script>\n|`a`"]);
    let html = assess_with(&evidence.to_string(), &["--format", "html"]).stdout;
    let html = String::from_utf8(html).unwrap();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script") && !html.contains("<img"));
    let markdown = assess_with(&evidence.to_string(), &["--format", "markdown"]).stdout;
    let markdown = String::from_utf8(markdown).unwrap();
    assert!(!markdown.contains("<script") && !markdown.contains('\u{202e}'));
    let table = assess_with(&evidence.to_string(), &[]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(!table.contains('\u{202e}') && table.contains("NOT safe to seal."));
}

#[test]
fn another_model_and_another_start_change_what_is_staged() {
    let (_, single) = assess(&clean(), &["--startup", "domain"]);
    assert_eq!(item(&single, "GI-03")["state"], "NotApplicable");
    let (_, multiple) = assess(&clean(), &["--entry", "multiple"]);
    assert_eq!(item(&multiple, "GI-01")["state"], "NotApplicable");
    assert_eq!(item(&multiple, "GI-03")["state"], "Fail");
    let bad = assess_with(&clean().to_string(), &["--tag", "a'; Remove-Item"]);
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn settings_are_the_defaults_at_a_shell_and_a_blank_one_is_none() {
    let with = |tag: &str, model: &str| {
        let settings = [
            ("VDI_DEVICE_TAG", tag.to_owned()),
            ("VDI_ENTRY_MODEL", model.to_owned()),
        ];
        run(
            &["golden-image", "assess", "-", "--format", "json"],
            &settings,
            &clean().to_string(),
        )
    };
    let seen = |output: &Output, id: &str| {
        let assessment: Value = serde_json::from_slice(&output.stdout).unwrap();
        item(&assessment, id)["seen"].as_str().unwrap().to_owned()
    };
    assert!(seen(&with("Pool-7", " multiple "), "GI-13").contains("expected Pool-7"));
    assert!(seen(&with("Pool-7", " multiple "), "GI-01").contains("multiple device entries"));
    assert!(seen(&with(" ", ""), "GI-13").contains("expected VDI-NonPersistent"));
    let refused = with("a,b", "both");
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr).lines().count(),
        2,
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_http_api_answers_the_same_assessment() {
    let app = App::start().await;
    let evidence = clean().to_string();
    let answer = app
        .send(ClientRequest::post("/api/golden-image", &evidence))
        .await;
    assert_eq!(answer.json(), assess(&clean(), &[]).1);
    let other = ClientRequest::post(
        "/api/golden-image?entry=multiple&startup=domain&role=golden&tag=Other",
        &evidence,
    );
    let (_, same) = assess(
        &clean(),
        &[
            "--entry",
            "multiple",
            "--startup",
            "domain",
            "--role",
            "golden",
            "--tag",
            "Other",
        ],
    );
    assert_eq!(app.send(other).await.json(), same);
    for (format, start) in [("markdown", "#"), ("html", "<!doctype html>")] {
        let path = format!("/api/golden-image?format={format}");
        let answer = app.send(ClientRequest::post(&path, &evidence)).await;
        assert!(
            answer.text.to_ascii_lowercase().starts_with(start),
            "{answer:?}"
        );
    }
    for (path, body, code) in [
        ("/api/golden-image", "", "empty_body"),
        ("/api/golden-image", "{\"mpPref\":", "no_evidence"),
        (
            "/api/golden-image",
            "{\"mpPref\":{},\"schemaVersion\":2}",
            "no_evidence",
        ),
        ("/api/golden-image?role=parent", "{}", "invalid_parameter"),
        ("/api/golden-image?tag=a,b", "{}", "invalid_parameter"),
        ("/api/golden-image?format=table", "{}", "invalid_parameter"),
        ("/api/golden-image?rolle=golden", "{}", "unknown_parameter"),
    ] {
        let answer = app.send(ClientRequest::post(path, body)).await;
        assert_eq!(answer.problem(400), code, "{path} {body}");
    }
}

#[tokio::test]
async fn the_http_api_answers_the_same_scripts() {
    let app = App::start().await;
    let printed = |arguments: &[&str]| {
        let output = run(&[&["golden-image", "script"], arguments].concat(), &[], "");
        String::from_utf8(output.stdout).unwrap()
    };
    for (path, arguments) in [
        ("collect-evidence", &["collect-evidence"][..]),
        (
            "stage-onboarding?package=C%3A%5Cit%27s&entry=multiple",
            &[
                "stage-onboarding",
                "--package",
                r"C:\it's",
                "--entry",
                "multiple",
            ],
        ),
        (
            "fslogix-exclusions?profiles=%5C%5Ca%5Cb&profiles=%5C%5Cc%5Cd&cloud-cache=true",
            &[
                "fslogix-exclusions",
                "--profiles",
                r"\\a\b",
                "--profiles",
                r"\\c\d",
                "--cloud-cache",
            ],
        ),
        (
            "Scan-Settings?quick-scan-time=13:15",
            &["scan-settings", "--quick-scan-time", "13:15"],
        ),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!("/api/golden-image/{path}")))
            .await;
        assert_eq!(answer.text, printed(arguments), "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    for (path, status, code) in [
        ("nothing", 404, "no_such_script"),
        ("device-tag?tag=a%0Ab", 400, "invalid_parameter"),
        ("device-tag?share=x", 400, "unknown_parameter"),
        ("validate?tag=x", 400, "unknown_parameter"),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!("/api/golden-image/{path}")))
            .await;
        assert_eq!(answer.problem(status), code, "{path}");
    }
}

#[tokio::test]
async fn settings_say_what_an_image_is_expected_to_be_like() {
    let app = App::start_guarded(&[
        ("VDI_DEVICE_TAG", "Pool-7"),
        ("VDI_ENTRY_MODEL", "Multiple"),
    ])
    .await;
    let token =
        |roles: &[&str]| format!("Bearer {}", app.cloud.sign(&app.cloud.caller_claims(roles)));
    let (reader, other) = (token(&["Reports.Read"]), token(&["Hashes.Read"]));
    let headers = [("Authorization", reader.as_str())];
    let evidence = clean().to_string();
    let answer = app
        .send(ClientRequest::post("/api/golden-image", &evidence).with(&headers))
        .await
        .json();
    assert!(
        item(&answer, "GI-13")["seen"]
            .as_str()
            .unwrap()
            .contains("expected Pool-7")
    );
    assert_eq!(item(&answer, "GI-01")["state"], "NotApplicable");
    let headers = [("Authorization", other.as_str())];
    let answer = app
        .send(ClientRequest::get("/api/golden-image/validate").with(&headers))
        .await;
    assert_eq!(answer.status, 403);
}
