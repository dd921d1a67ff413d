//! Answers that cannot be written.

use super::{CLEAN, cloud, text};

/// Runs a command with standard output on a device; returns its exit code and errors.
fn into(device: &str, arguments: &[&str], variables: &[(&str, String)]) -> (i32, String) {
    let executable = crate::support::package::unpacked().join("defender-functions");
    let stdout = std::fs::OpenOptions::new()
        .write(true)
        .open(device)
        .unwrap();
    let variables = variables.iter().map(|(name, value)| (*name, value));
    let output = std::process::Command::new(executable)
        .args(arguments)
        .env_clear()
        .envs(variables)
        .stdin(std::process::Stdio::null())
        .stdout(stdout)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    (output.status.code().unwrap(), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn field_s13_an_answer_that_cannot_be_written_is_an_error() {
    let (_cloud, mut variables) = cloud().await;
    let folder = tempfile::tempdir().unwrap();
    variables.push(("REPORTS_URL", folder.path().display().to_string()));
    variables.push(("VDI_HOST_PATTERN", "^vdi-".to_owned()));
    for arguments in [
        vec!["lookup", CLEAN],
        vec!["lookup", CLEAN, "--format", "json"],
        vec!["lookup", CLEAN, "--format", "csv"],
        vec!["coverage"],
        vec!["coverage", "--format", "csv"],
        vec!["coverage", "workbook"],
        vec!["vdi"],
        vec!["doctor"],
        vec!["golden-image", "script", "validate"],
    ] {
        let (code, errors) = into("/dev/full", &arguments, &variables);
        assert_eq!(code, 3, "{arguments:?}: {errors}");
        let last = errors.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("error: the answer cannot be written: "),
            "{arguments:?}: {errors}"
        );
    }
}
