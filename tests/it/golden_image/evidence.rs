//! Evidence in every form, of every machine.

use serde_json::{Value, json};

use super::{SHARE, assess, assess_with, clean, item, state};
use crate::support::app::run;

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

/// Evidence whose folders name each other, so that every pass over them grows the text.
fn folders_of_folders(copies: usize) -> Value {
    let mut evidence = clean();
    for (name, other) in [
        ("windir", "%programdata%"),
        ("programData", "%temp%"),
        ("temp", "%windir%"),
    ] {
        evidence["host"][name] = json!(other.repeat(copies));
    }
    let entries = [
        r"%windir%\a",
        r"%temp%\*\*.VHD",
        "%programdata%%windir%%temp%",
    ];
    evidence["mpPref"]["ExclusionPath"] = json!(entries);
    evidence
}

#[test]
fn field_s01_folders_that_name_each_other_stay_as_long_as_a_path() {
    for copies in [1, 100, 10_000] {
        let begun = std::time::Instant::now();
        let (code, assessment) = assess(&folders_of_folders(copies), &[]);
        assert!(matches!(code, Some(0 | 1 | 3)), "{copies}: {code:?}");
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        assert!(assessment.to_string().len() < 1 << 20);
    }
}

/// Many places of profiles and many exclusions.
fn places_and_exclusions(count: usize) -> Value {
    let mut evidence = clean();
    let places: Vec<String> = (0..count / 10)
        .map(|number| format!(r"\\files\p{number}"))
        .collect();
    let profiles = r"HKLM\SOFTWARE\FSLogix\Profiles";
    evidence["reg"][profiles]["VHDLocations"] = json!(places.join(";"));
    let entries: Vec<String> = (0..count).map(|number| format!(r"c:\x\{number}")).collect();
    evidence["mpPref"]["ExclusionPath"] = json!(entries);
    evidence
}

#[test]
fn field_s02_places_and_exclusions_cost_time_in_proportion() {
    let time = |count| {
        let evidence = places_and_exclusions(count);
        let begun = std::time::Instant::now();
        let (code, _) = assess(&evidence, &[]);
        assert!(matches!(code, Some(0 | 1 | 3)), "{code:?}");
        begun.elapsed()
    };
    let (small, large) = (time(2_000), time(16_000));
    assert!(
        large.as_secs() < 10 && large < small * 24,
        "{small:?} {large:?}"
    );
}
