//! Single items of the checklist.

use serde_json::{Value, json};

use super::{POLICY, SHARE, assess, clean, item, state};

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
fn vdi_v15_a_tag_that_breaks_the_portal_fails() {
    for tag in ["x".repeat(201), "VDI,NonPersistent".into(), "Other".into()] {
        let mut evidence = clean();
        evidence["reg"][format!(r"{POLICY}\DeviceTagging")]["Group"] = json!(tag);
        assert_eq!(state(&evidence, "GI-13"), "Fail", "{tag}");
    }
}
