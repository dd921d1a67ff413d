//! Failures of the host and the machine (rows B of the fault matrix).

use std::{
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    App, HttpMode, SimulatedHost,
    app::{MALWARE, run, unknown_hash, within},
    host::ClientRequest,
    package,
};

#[test]
fn b12_a_port_that_is_missing_invalid_or_taken_ends_with_one_clear_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken
        .local_addr()
        .map(|address| (taken, address.port().to_string()))
        .unwrap();
    let ports = [
        None,
        Some(""),
        Some("0"),
        Some("70000"),
        Some("-1"),
        Some("http"),
        Some(taken.1.as_str()),
    ];
    for port in ports {
        let port_variable = port.map(|port| ("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_owned()));
        let variables: Vec<_> = port_variable
            .into_iter()
            .chain([("API_AUTH", "off".to_owned())])
            .collect();
        let output = run(&[], &variables, "");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{port:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{port:?}: {stderr}");
        assert!(
            stderr.contains("FUNCTIONS_CUSTOMHANDLER_PORT") || stderr.contains(&taken.1),
            "{stderr}"
        );
        assert!(
            !stderr.to_lowercase().contains("warn"),
            "the host must classify it as an error: {stderr}"
        );
    }
}

#[test]
fn b20_all_wrong_settings_are_reported_together() {
    let wrong = [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "7071".to_owned()),
        (
            "DEFENDER_API_URL",
            "http://api.security.microsoft.com".to_owned(),
        ),
        ("DEFENDER_CALLS_PER_MINUTE", "-5".to_owned()),
        ("LOOKUP_DEADLINE_SECONDS", "soon".to_owned()),
        ("DEFENDER_CALLS_PER_HUOR", "1".to_owned()),
        ("API_AUTH", "off".to_owned()),
        (
            "REPORTS_URL",
            "https://contoso.blob.core.windows.net/history?sig=SECRET".to_owned(),
        ),
        ("WEBSITE_SITE_NAME", "app".to_owned()),
    ];
    let output = run(&[], &wrong, "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), stderr.lines().count()),
        (Some(2), 1),
        "{stderr}"
    );
    for (name, _) in &wrong[1..7] {
        assert!(stderr.contains(name), "{name} in {stderr}");
    }
    let at_a_terminal = run(&["serve"], &wrong[1..], "");
    assert_eq!(at_a_terminal.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(at_a_terminal.stderr)
            .unwrap()
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count(),
        6
    );
}

#[test]
fn in_azure_anonymous_functions_are_refused_while_the_hosts_keys_are_the_gate() {
    let variables = [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "7071".to_owned()),
        (
            "FUNCTIONS_APP_ROOT_PATH",
            package::unpacked().display().to_string(),
        ),
        ("WEBSITE_SITE_NAME", "app".to_owned()),
        ("API_AUTH", "host".to_owned()),
        ("REPORTS_URL", "reports".to_owned()),
    ];
    let output = run(&[], &variables, "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr.contains("hash_lookup") && stderr.contains("API_AUTH"),
        "{stderr}"
    );
}

#[tokio::test]
async fn in_azure_the_package_for_the_hosts_keys_starts_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("package");
    package::make(&root, &["--auth-level", "function"]);
    let cloud = sandbox::Sandbox::start(sandbox::Tenant::default())
        .await
        .unwrap();
    let mut variables = cloud.variables();
    variables.extend([
        ("API_AUTH", "host".to_owned()),
        ("REPORTS_URL", "reports".to_owned()),
        ("WEBSITE_SITE_NAME", "app".to_owned()),
    ]);
    let host = SimulatedHost::start(&root, &variables).await;
    let (status, _) = host
        .http(
            HttpMode::Proxying,
            ClientRequest::get(&format!("/api/hashes/{MALWARE}")),
        )
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn b15_too_many_requests_at_a_time_are_asked_to_retry_later() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "3")]).await;
    app.cloud.set_latency(Duration::from_secs(60));
    let hashes: Vec<String> = (0..400).map(unknown_hash).collect();
    let answers = within(
        30,
        futures::future::join_all(hashes.iter().map(|hash| app.get_hash(hash))),
    )
    .await;
    let overloaded: Vec<_> = answers
        .iter()
        .filter(|answer| answer.json()["code"] == "overloaded")
        .collect();
    assert!(overloaded.len() >= 400 - 256, "{}", overloaded.len());
    assert!(
        overloaded
            .iter()
            .all(|answer| answer.status == 503 && answer.header("retry-after").is_some())
    );
    let later = app.get_hash(MALWARE).await;
    assert_ne!(
        later.json()["code"],
        "overloaded",
        "the places are free again: {later:?}"
    );
}

#[tokio::test]
async fn b15_the_process_survives_running_out_of_file_descriptors() {
    let app = App::start().await;
    let limited = Command::new("prlimit")
        .args(["--nofile=48:48", "--pid", &app.host.pid().to_string()])
        .status();
    assert!(limited.expect("prlimit runs").success());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], app.host.port));
    // Connections beyond the descriptors and the listener's queue wait.
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let held: Vec<_> = (0..100).filter_map(connect).collect();
    assert!(held.len() > 48);
    drop(held);
    // The process notices the closed connections one after the other.
    let answered = async {
        while app.get_hash(MALWARE).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    within(60, answered).await;
}

#[tokio::test]
async fn b16_memory_stays_small_with_full_lists() {
    let app = App::start_with(&[
        ("DEFENDER_CALLS_PER_MINUTE", "10000"),
        ("DEFENDER_CALLS_PER_HOUR", "100000"),
    ])
    .await;
    app.cloud.set_limits(100_000, 100_000);
    for list in 0..5 {
        let hashes: Vec<String> = (0..1_000)
            .map(|number| unknown_hash(list * 1_000 + number))
            .collect();
        let answer = app.post(&json!(hashes).to_string()).await.json();
        assert_eq!(answer["summary"]["unknown"], 1_000);
    }
    let peak = app.host.peak_memory();
    assert!(peak < 100, "{peak} MiB");
}
