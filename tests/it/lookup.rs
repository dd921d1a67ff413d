//! The output of `lookup`: evidence, reasons, waits, and the file of `--resume`.

use sandbox::{Fault, Sandbox, Tenant};
use serde_json::Value;

use crate::support::app::{CLEAN, MALWARE, PUA, PUA_SHA1, run, unknown_hash, within};

async fn cloud() -> (Sandbox, Vec<(&'static str, String)>) {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let variables = cloud.variables();
    (cloud, variables)
}

struct Shown {
    code: i32,
    stdout: String,
    stderr: String,
}

fn lookup(arguments: &[&str], variables: &[(&str, String)]) -> Shown {
    let output = run(&[&["lookup"], arguments].concat(), variables, "");
    Shown {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h11_evidence_is_in_the_table_and_in_the_block_of_one_hash() {
    let (_cloud, variables) = cloud().await;
    let one = lookup(&[MALWARE, "--include", "stats,alerts,devices"], &variables);
    assert_eq!((one.code, one.stderr.as_str()), (0, ""));
    for part in [
        "\nYour tenant  2 devices in 30 days\n",
        "\nAlerts       2: ",
        "\nDevices      2: pool-017.contoso.com",
        "\nDo next      ",
        "\nPortal       https://security.microsoft.com/file/",
    ] {
        assert!(one.stdout.contains(part), "{part:?} in {}", one.stdout);
    }
    let many = lookup(&[MALWARE, CLEAN, "--include", "alerts,devices"], &variables);
    assert!(many.stdout.contains("IN YOUR TENANT"), "{}", many.stdout);
    assert!(
        many.stdout.contains("2 devices, 2 alerts"),
        "{}",
        many.stdout
    );
    let without = lookup(&[MALWARE, CLEAN], &variables);
    assert!(
        !without.stdout.contains("IN YOUR TENANT"),
        "{}",
        without.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h11_nothing_to_ask_is_complete() {
    let (_cloud, variables) = cloud().await;
    let unknown = unknown_hash(7);
    for more in [vec![], vec![CLEAN]] {
        let arguments = [vec![unknown.as_str(), "--include", "stats,alerts"], more].concat();
        let shown = lookup(&arguments, &variables);
        assert_eq!(
            (shown.code, shown.stderr.as_str()),
            (0, ""),
            "{}",
            shown.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h11_every_exit_code_but_0_has_its_reason_on_the_screen() {
    let (cloud, variables) = cloud().await;
    for (arguments, code, reason) in [
        (
            vec![MALWARE, "--fail-on", "malicious"],
            1,
            "--fail-on malicious: 1 file is at least malicious\n",
        ),
        (
            vec![MALWARE, PUA, "--fail-on", "suspicious"],
            1,
            "--fail-on suspicious: 2 files are at least suspicious\n",
        ),
        (vec!["zz"], 2, "no input is a SHA-1 or SHA-256\n"),
        (
            vec![CLEAN, "zz"],
            3,
            "1 of 2 files NOT checked: the character z",
        ),
    ] {
        for format in ["table", "json", "csv", "markdown", "text"] {
            let shown = lookup(
                &[arguments.clone(), vec!["--format", format]].concat(),
                &variables,
            );
            assert_eq!(shown.code, code, "{arguments:?} {format}");
            assert!(
                shown.stderr.starts_with(reason),
                "{format}: {}",
                shown.stderr
            );
            assert_eq!(shown.stderr.lines().count(), 1, "{}", shown.stderr);
        }
    }
    cloud.set_roles(&["File.Read.All"]);
    let shown = lookup(&[MALWARE, PUA, "--include", "alerts"], &variables);
    assert_eq!(shown.code, 3);
    assert!(
        shown.stderr.starts_with("alerts NOT read: ") && shown.stderr.contains("Alert.Read.All"),
        "{}",
        shown.stderr
    );
    assert_eq!(
        shown.stderr.lines().count(),
        1,
        "one cause once: {}",
        shown.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h08_files_without_a_hash_are_named_at_a_shell_too() {
    let (_cloud, variables) = cloud().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let incident = serde_json::json!({ "Entities": [
        { "Type": "file", "Name": "a.exe", "FileHashes": [{ "Algorithm": "SHA256", "Value": CLEAN }] },
        { "Type": "file", "Name": "b.js", "FileHashes": [] },
    ] });
    std::fs::write(file.path(), incident.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    for format in ["table", "text", "markdown"] {
        let shown = lookup(&["--file", path, "--format", format], &variables);
        assert!(
            shown
                .stdout
                .contains("1 file has no hash and cannot be checked: b.js"),
            "{format}: {}",
            shown.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h04_the_table_counts_files() {
    let (_cloud, variables) = cloud().await;
    let shown = lookup(&[PUA, PUA_SHA1, CLEAN], &variables);
    assert_eq!(shown.code, 0);
    assert!(
        shown.stdout.contains("1 of 2 files is suspicious.\n"),
        "{}",
        shown.stdout
    );
    let same = format!("the same file as {}...", &PUA[..12]);
    assert!(shown.stdout.contains(&same), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h12_a_wait_is_one_line_with_the_time_left() {
    let (_cloud, mut variables) = cloud().await;
    variables.push(("DEFENDER_CALLS_PER_MINUTE", "5".to_owned()));
    let hashes: Vec<String> = (0..30).map(unknown_hash).collect();
    let mut command =
        std::process::Command::new(crate::support::package::unpacked().join("defender-functions"));
    command
        .arg("lookup")
        .args(&hashes)
        .env_clear()
        .envs(variables);
    let piped = std::process::Stdio::piped;
    let mut child = command.stdout(piped()).stderr(piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let first = within(
        20,
        tokio::task::spawn_blocking(move || {
            let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
            (lines.next().unwrap().unwrap(), lines)
        }),
    );
    let (line, lines) = first.await.unwrap();
    let wait = regex::Regex::new(
        r"^5 of 30, waiting for the limit of Defender, continues in (5\d|60|61) s; Ctrl-C ends",
    )
    .unwrap();
    assert!(wait.is_match(&line), "{line}");
    interrupt(child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(
        rest,
        [
            "interrupted; these are the answers so far",
            "25 of 30 files NOT checked: the command was interrupted",
        ]
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        stdout.matches("the command was interrupted").count(),
        1,
        "{stdout}"
    );
    assert!(stdout.lines().count() < 14, "{stdout}");
}

fn interrupt(process: u32) {
    let kill = std::process::Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h12_a_look_up_continues_from_its_file() {
    let (cloud, variables) = cloud().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    let path = file.to_str().unwrap();
    cloud.add_fault(Fault::status(400).on(CLEAN).times(1));
    // A file without a record may have one the next time.
    let unknown = unknown_hash(9);
    let arguments = [
        MALWARE, CLEAN, PUA, &unknown, "--resume", path, "--format", "json",
    ];
    let first = lookup(&arguments, &variables);
    assert_eq!(first.code, 3);
    assert!(
        first
            .stderr
            .contains("run the same command again to continue"),
        "{}",
        first.stderr
    );
    // A kill can cut the last line off.
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{kept}{{\"hash\":\"{CLEAN}\",\"ver")).unwrap();
    let calls = cloud.defender_calls().len();
    let second = lookup(&arguments, &variables);
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
    let asked: Vec<String> = cloud.defender_calls()[calls..]
        .iter()
        .map(|call| call.target.clone())
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for hash in [CLEAN, &unknown] {
        assert!(
            asked.iter().any(|target| target.contains(hash)),
            "{asked:?}"
        );
    }
    let answer: Value = serde_json::from_str(&second.stdout).unwrap();
    let verdicts: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["Malicious", "Clean", "Suspicious", "Unknown"]);
    assert_eq!(answer["results"][0]["cached"], true);
    assert!(!file.exists(), "nothing is left to continue");
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h12_no_other_file_is_taken_or_changed_by_resume() {
    let (cloud, variables) = cloud().await;
    let folder = tempfile::tempdir().unwrap();
    let old = |hours: i64| {
        let time = time::OffsetDateTime::now_utc() - time::Duration::hours(hours);
        time.format(&time::format_description::well_known::Rfc3339)
            .unwrap()
    };
    let known = lookup(&[CLEAN, "--format", "json"], &variables);
    let known: Value = serde_json::from_str(&known.stdout).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let other = folder.path().join("notes.txt");
    std::fs::write(&other, "important\n").unwrap();
    for path in [
        &other,
        &pipe,
        &folder.path().to_path_buf(),
        &folder.path().join("no/such/folder"),
    ] {
        let shown = lookup(&[CLEAN, "--resume", path.to_str().unwrap()], &variables);
        assert_eq!(shown.code, 2, "{}", shown.stderr);
        assert!(shown.stderr.starts_with("error: `"), "{}", shown.stderr);
    }
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "important\n");
    // A result of yesterday, a stale one, one without a verdict and one from the future are asked again.
    for (name, value) in [
        ("asOf", Value::from(old(25))),
        ("asOf", Value::from(old(-48))),
        ("stale", Value::from(true)),
        ("verdict", Value::Null),
    ] {
        let file = folder.path().join("results.jsonl");
        let mut result = known["results"][0].clone();
        result[name] = value;
        let head = r#"{"file":"defender-functions lookup --resume","version":1}"#;
        std::fs::write(&file, format!("{head}\n{result}\n")).unwrap();
        let calls = cloud.defender_calls().len();
        let shown = lookup(&[CLEAN, "--resume", file.to_str().unwrap()], &variables);
        assert_eq!(
            (shown.code, cloud.defender_calls().len()),
            (0, calls + 1),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn field_h15_csv_has_a_byte_order_mark_for_excel() {
    let (_cloud, variables) = cloud().await;
    let shown = lookup(&[CLEAN, "--format", "csv"], &variables);
    assert!(
        shown.stdout.starts_with("\u{feff}hash,"),
        "{}",
        shown.stdout
    );
}
