//! `defender-functions` at a shell.

mod writing;

use std::time::Duration;

use sandbox::{Fault, Sandbox, Tenant};
use serde_json::Value;

use crate::support::{
    app::{CLEAN, MALWARE, PUA, PUA_SHA1, run, unknown_hash},
    package::repository,
};

async fn cloud() -> (Sandbox, Vec<(&'static str, String)>) {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let variables = cloud.variables();
    (cloud, variables)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A text without its time, as in `2026-11-30 05:52 UTC`.
fn without_time(text: &str) -> String {
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC").unwrap();
    time.replace_all(text, "[time] UTC").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_prints_a_table_without_color_into_a_pipe() {
    let (_cloud, variables) = cloud().await;
    let output = run(&["lookup", MALWARE, PUA_SHA1, CLEAN, "zz"], &variables, "");
    assert_eq!(output.status.code(), Some(3), "zz could not be checked");
    insta::assert_snapshot!(without_time(&text(&output.stdout)), @r#"
     VERDICT      HASH                                                              DEVICES  WHY
     Malicious    97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe  12       Microsoft determined malware: Trojan:Win32/Wacatac.B!ml
     Suspicious   4388963aaa83afe2042a46a3c017ad50bdcdafb3                          12       Microsoft determined unwanted software: PUA:Win32/FusionCore
     Clean        a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb  12       no detection by Microsoft; not an approval
     NOT CHECKED  zz                                                                         the character z at position 1 is not a hexadecimal digit

    1 of 4 files is malicious, 1 suspicious, 1 NOT checked.
    Checked 3 of 4 files: 1 malicious, 1 suspicious, 1 clean. [time] UTC.

    Clean means "no detection by Microsoft", not an approval.
    "#);
    assert_eq!(
        text(&output.stderr),
        "1 of 4 files NOT checked: the character z at position 1 is not a hexadecimal digit\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_reads_files_and_standard_input_line_by_line() {
    let (cloud, variables) = cloud().await;
    let advisory = repository().join("tests/demo/advisory.txt");
    let advisory = advisory.to_str().unwrap();
    let output = run(
        &["lookup", "--file", advisory, "--format", "json"],
        &variables,
        "",
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let summary = &answer["summary"];
    assert_eq!(
        (&summary["total"], &summary["invalid"], &summary["failed"]),
        (&10.into(), &1.into(), &0.into())
    );
    assert_eq!(summary["worst"], "Malicious");
    assert_eq!(
        cloud.defender_calls().len(),
        8,
        "ss2.stubbin by both of its hashes is one call"
    );

    let piped = run(
        &["lookup", "-", "--format", "json"],
        &variables,
        &format!("# comment\r\n\r\n{PUA}\r\n"),
    );
    let answer: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!(
        (
            &answer["summary"]["total"],
            &answer["summary"]["suspicious"]
        ),
        (&1.into(), &1.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_as_powershell_writes_it_is_read_and_a_compressed_one_refused() {
    let (_cloud, variables) = cloud().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("advisory.txt");
    let utf16 = format!("\u{feff}The file {MALWARE} was seen.\r\n");
    std::fs::write(
        &file,
        utf16
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    )
    .unwrap();
    let arguments = [
        "lookup",
        "--file",
        file.to_str().unwrap(),
        "--format",
        "json",
    ];
    let answer: Value = serde_json::from_slice(&run(&arguments, &variables, "").stdout).unwrap();
    assert_eq!(answer["summary"]["malicious"], 1);
    std::fs::write(&file, b"\x1f\x8b\x08\x00").unwrap();
    let refused = run(&arguments, &variables, "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("not text in UTF-8 or UTF-16"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_writes_csv_with_a_row_for_every_input() {
    let (_cloud, variables) = cloud().await;
    let output = run(
        &["lookup", MALWARE, "zz", "--format", "csv"],
        &variables,
        "",
    );
    let csv = text(&output.stdout);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("\u{feff}hash,hashType,status,verdict,")
            && lines[1].contains(",Malicious,determination_malware,")
    );
    assert!(lines[2].starts_with("zz,,invalid,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_distinguish_found_unusable_and_incomplete() {
    let (cloud, variables) = cloud().await;
    let code = |arguments: &[&str]| run(arguments, &variables, "").status.code().unwrap();
    assert_eq!(code(&["lookup", CLEAN]), 0);
    assert_eq!(code(&["lookup", CLEAN, "--fail-on", "suspicious"]), 0);
    assert_eq!(code(&["lookup", PUA, "--fail-on", "malicious"]), 0);
    assert_eq!(code(&["lookup", PUA, "--fail-on", "suspicious"]), 1);
    assert_eq!(
        code(&["lookup", MALWARE, "zz", "--fail-on", "malicious"]),
        1
    );
    assert_eq!(
        code(&["lookup", CLEAN, &"a".repeat(63), "--fail-on", "suspicious"]),
        3,
        "never 0 if a hash was not checked"
    );
    assert_eq!(code(&["lookup", "zz"]), 2);
    assert_eq!(code(&["lookup"]), 2);
    assert_eq!(code(&["lookup", "--file", "/nonexistent"]), 2);
    assert_eq!(code(&["lookup", "-"]), 2, "no input at all");
    assert_eq!(code(&["unknown"]), 2);
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["--version"]), 0);
    cloud.add_fault(Fault::status(400).on(CLEAN));
    assert_eq!(code(&["lookup", CLEAN]), 3);
    assert_eq!(
        code(&["lookup", CLEAN, MALWARE, "--fail-on", "malicious"]),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let (cloud, variables) = cloud().await;
    cloud.set_roles(&[]);
    let output = run(&["lookup", MALWARE], &variables, "");
    let (shown, reason) = (text(&output.stdout), text(&output.stderr));
    assert!(
        shown.starts_with("NOT CHECKED") && shown.contains("File.Read.All"),
        "{shown}"
    );
    assert!(reason.starts_with("1 of 1 file NOT checked: "), "{reason}");
    let missing = text(&run(&["lookup", "--file", "/nonexistent"], &variables, "").stderr);
    assert_eq!(
        missing,
        "error: `/nonexistent` cannot be read: No such file or directory (os error 2)\n"
    );
    let nothing = text(&run(&[], &[], "").stderr);
    assert!(
        nothing.contains("FUNCTIONS_CUSTOMHANDLER_PORT") && nothing.contains("--help"),
        "{nothing}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_answers_on_the_port_it_is_given_until_it_is_interrupted() {
    let (_cloud, mut variables) = cloud().await;
    variables.push(("API_AUTH", "off".to_owned()));
    let port = crate::support::host::free_port();
    let mut child =
        std::process::Command::new(crate::support::package::unpacked().join("defender-functions"))
            .args(["serve", "--port", &port.to_string()])
            .env_clear()
            .envs(variables)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
    let url = crate::support::host::build_and_get_uri(port, &format!("api/hashes/{MALWARE}"));
    let body = crate::support::app::within(10, async {
        loop {
            match reqwest::get(&url).await {
                Ok(answer) => break answer.text().await.unwrap(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(body.contains("Malicious"), "{body}");
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_adds_the_evidence_that_is_asked_for() {
    let (_cloud, variables) = cloud().await;
    let output = run(
        &[
            "lookup",
            MALWARE,
            "--include",
            "stats,alerts,devices",
            "--format",
            "json",
        ],
        &variables,
        "",
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let result = &answer["results"][0];
    assert_eq!(
        (
            &result["alerts"]["count"],
            &result["stats"]["organizationPrevalence"]
        ),
        (&2.into(), &2.into())
    );
    assert_eq!(
        result["devices"]["items"][0]["computerDnsName"],
        "pool-017.contoso.com"
    );
    assert_eq!(
        run(&["lookup", MALWARE, "--include", "all"], &variables, "")
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn help_and_version_need_no_good_settings() {
    let bad = [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "x".to_owned()),
        ("DEFENDER_API_URL", "x".to_owned()),
    ];
    for flag in ["--help", "--version"] {
        assert_eq!(run(&[flag], &bad, "").status.code(), Some(0), "{flag}");
    }
}

/// Runs a command on a terminal of 120 columns and returns what it shows.
fn on_a_terminal(arguments: &[&str], variables: &[(&'static str, String)]) -> String {
    let script = "import json, os, pty, sys\n\
        os.environ.clear()\n\
        os.environ.update(json.loads(sys.argv[1]))\n\
        size = '/bin/stty cols 120 rows 40; exec \"$0\" \"$@\"'\n\
        sys.exit(os.waitstatus_to_exitcode(pty.spawn(['/bin/sh', '-c', size, *sys.argv[2:]])))";
    let terminal = ("TERM", "xterm-256color".to_owned());
    let environment: std::collections::BTreeMap<_, _> =
        variables.iter().cloned().chain([terminal]).collect();
    let executable = crate::support::package::unpacked().join("defender-functions");
    let output = std::process::Command::new("python3")
        .args(["-c", script, &serde_json::json!(environment).to_string()])
        .arg(executable)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("python3 runs");
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_verdicts_are_colored_unless_no_color_is_set() {
    let (_cloud, mut variables) = cloud().await;
    let colored = on_a_terminal(&["lookup", MALWARE], &variables);
    assert!(colored.contains("\u{1b}["), "{colored:?}");
    variables.push(("NO_COLOR", "1".to_owned()));
    let plain = on_a_terminal(&["lookup", MALWARE], &variables);
    assert!(
        plain.contains("Malicious") && !plain.contains("\u{1b}["),
        "{plain:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_show_progress_on_a_terminal() {
    let (cloud, variables) = cloud().await;
    cloud.set_latency(Duration::from_millis(300));
    let hashes: Vec<String> = (0..40).map(unknown_hash).collect();
    let arguments: Vec<&str> = ["lookup"]
        .into_iter()
        .chain(hashes.iter().map(String::as_str))
        .collect();
    let shown = on_a_terminal(&arguments, &variables);
    assert!(shown.contains("of 40, "), "{shown:?}");
    let short = on_a_terminal(&arguments[..3], &variables);
    assert!(!short.contains("of 2, "), "{short:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_it_reports_what_it_has_and_what_is_missing() {
    let (cloud, variables) = cloud().await;
    cloud.add_fault(Fault::json("{}").on(CLEAN).delay(Duration::from_secs(60)));
    let child =
        std::process::Command::new(crate::support::package::unpacked().join("defender-functions"))
            .args(["lookup", MALWARE, CLEAN, "--format", "json"])
            .env_clear()
            .envs(variables)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
    crate::support::app::within(10, async {
        // The answer for the first hash is available once its call has been made.
        while !cloud
            .defender_calls()
            .iter()
            .any(|call| call.target.contains(MALWARE))
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["results"][0]["verdict"], "Malicious");
    assert_eq!(answer["results"][1]["error"]["code"], "interrupted");
    assert_eq!(
        (&answer["complete"], &answer["results"][1]["status"]),
        (&false.into(), &"throttled".into())
    );
    assert!(text(&output.stderr).contains("interrupted"));
}
