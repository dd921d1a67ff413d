//! The start, the executable and the end of the process.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::json;

use super::host_json;
use crate::support::{
    App, HttpMode, SimulatedHost,
    app::{MALWARE, run, unknown_hash, within},
    host::{
        AfterExit, ClosedPort, CustomHandler, HostConfigurationError, build_and_get_uri, free_port,
    },
    package,
};

#[tokio::test]
async fn h18_the_handler_is_ready_immediately_and_any_answer_counts() {
    let app = App::start().await;
    assert!(
        app.host.ready_after < Duration::from_secs(5),
        "{:?}",
        app.host.ready_after
    );
    assert_eq!(
        app.cloud.identity_calls().len(),
        0,
        "no token is fetched before the port answers"
    );
    let ready = app.client().get(app.host.url("")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let missing = app
        .client()
        .get(app.host.url("nothing"))
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
    let closed = ClosedPort::new();
    let refused = app
        .client()
        .get(build_and_get_uri(closed.number(), ""))
        .send()
        .await;
    assert!(refused.is_err_and(|error| error.is_connect()));
}

#[tokio::test]
async fn h19_the_hosts_variables_win_over_app_settings_of_the_same_name() {
    let app = App::start_with(&[("FUNCTIONS_CUSTOMHANDLER_PORT", "1")]).await;
    assert_eq!(app.get_hash(MALWARE).await.status, 200);
}

#[test]
fn h20_the_packaged_executable_may_be_executed() {
    let handler = CustomHandler::read(package::unpacked(), &BTreeMap::new()).unwrap();
    let mode = std::fs::metadata(&handler.executable)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn h21_no_argument_could_show_a_secret_in_the_hosts_log() {
    assert_eq!(
        CustomHandler::read(package::unpacked(), &BTreeMap::new())
            .unwrap()
            .arguments,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn h22_a_handler_that_ends_immediately_never_counts_as_initialized() {
    let ended =
        SimulatedHost::try_start(package::unpacked(), &[("API_AUTH", "nothing".to_owned())]).await;
    let (status, console) = ended.err().expect("must end");
    assert_eq!(status.and_then(|status| status.code()), Some(2));
    assert!(
        console
            .iter()
            .any(|line| line.level == "Error" && line.text.contains("API_AUTH"))
    );
}

#[test]
fn h23_the_description_is_there_and_the_host_would_miss_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut without = host_json();
    assert!(without["customHandler"]["description"].is_object());
    without["customHandler"]
        .as_object_mut()
        .unwrap()
        .remove("description");
    std::fs::write(folder.path().join("host.json"), without.to_string()).unwrap();
    let refused = CustomHandler::read(folder.path(), &BTreeMap::new()).unwrap_err();
    assert_eq!(
        refused,
        HostConfigurationError("Missing WorkerDescription for HttpWorker".to_owned())
    );
}

#[test]
fn h24_the_executables_path_holds_no_variable() {
    let path = host_json()["customHandler"]["description"]["defaultExecutablePath"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!path.contains('%') && !path.contains('/'), "{path}");
}

#[test]
fn h25_the_executable_is_found_under_the_script_root() {
    let handler = CustomHandler::read(package::unpacked(), &BTreeMap::new()).unwrap();
    assert_eq!(
        handler.executable,
        package::unpacked().join("defender-functions")
    );
}

#[tokio::test]
async fn h26_arguments_from_the_environment_still_serve_the_hosts_port() {
    let app = App::start_with(&[(
        "AzureFunctionsJobHost__customHandler__description__arguments",
        r#"["serve"]"#,
    )])
    .await;
    assert_eq!(app.get_hash(MALWARE).await.status, 200);
}

#[tokio::test]
async fn h27_a_port_set_by_hand_is_used_and_a_taken_one_is_a_clear_error() {
    let port = free_port().to_string();
    let app = App::start_with(&[("AzureFunctionsJobHost__customHandler__port", &port)]).await;
    assert_eq!(app.host.port.to_string(), port);
    let taken = run(
        &[],
        &[
            ("FUNCTIONS_CUSTOMHANDLER_PORT", port.clone()),
            ("API_AUTH", "off".to_owned()),
        ],
        "",
    );
    assert_eq!(taken.status.code(), Some(2));
    let stderr = String::from_utf8(taken.stderr).unwrap();
    assert!(
        stderr.lines().count() == 1 && stderr.contains(&port),
        "{stderr}"
    );
}

#[test]
fn h28_host_json_has_no_routes_besides_the_function_json_files() {
    let host = host_json();
    assert!(host["customHandler"]["http"].is_null());
    assert_eq!(host["extensions"]["http"]["routePrefix"], "api");
}

#[test]
fn h29_host_json_asks_for_both_ways_of_handing_requests_on_and_for_no_profile() {
    let host = host_json();
    assert!(host["configurationProfile"].is_null());
    assert_eq!(host["customHandler"]["enableProxyingHttpRequest"], true);
    assert_eq!(host["customHandler"]["enableForwardingHttpRequest"], true);
    let handler = CustomHandler::read(package::unpacked(), &BTreeMap::new()).unwrap();
    assert_eq!(
        handler.mode,
        HttpMode::Proxying,
        "a host that knows proxying takes it"
    );
}

#[tokio::test]
async fn x04_a_signal_is_a_wanted_restart_and_never_an_exit_with_0() {
    let mut app = App::start().await;
    for signal in ["TERM", "INT", "TERM", "INT"] {
        app.host.signal(signal);
        assert_eq!(
            within(20, app.host.after_exit()).await,
            AfterExit::Restarted,
            "SIG{signal} is not counted as an error"
        );
    }
    assert_eq!(app.get_hash(MALWARE).await.status, 200);
    let code = |variables: &[(&str, String)]| run(&[], variables, "").status.code();
    assert_eq!(
        code(&[("FUNCTIONS_CUSTOMHANDLER_PORT", "x".to_owned())]),
        Some(2),
        "a failed start is an error to the host"
    );
    assert_eq!(code(&[]), Some(2));
}

#[tokio::test]
async fn x05_three_crashes_stop_the_host() {
    let mut app = App::start().await;
    for expected in [
        AfterExit::Restarted,
        AfterExit::Restarted,
        AfterExit::HostStopped,
    ] {
        app.host.kill();
        assert_eq!(app.host.after_exit().await, expected);
    }
}

#[tokio::test]
async fn x06_a_kill_in_the_middle_of_an_invocation_is_harmless() {
    let mut app = App::start().await;
    let list: Vec<String> = (0..50)
        .map(unknown_hash)
        .chain([MALWARE.to_owned()])
        .collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    app.cloud.set_latency(Duration::from_secs(30));
    let body = json!({ "hashes": list }).to_string();
    let cut_off = tokio::spawn(
        app.client()
            .post(app.host.url("api/hashes"))
            .body(body)
            .send(),
    );
    within(10, async {
        while app.cloud.identity_calls().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    app.host.kill();
    assert!(cut_off.await.unwrap().is_err());

    app.cloud.set_latency(Duration::ZERO);
    assert_eq!(app.host.after_exit().await, AfterExit::Restarted);
    let answer = app.post_hashes(&list).await.json();
    assert_eq!(
        (&answer["complete"], &answer["summary"]["total"]),
        (&json!(true), &json!(51))
    );
}

#[tokio::test]
async fn x07_the_ping_is_answered_under_load() {
    let app = App::start().await;
    // No look-up ends before the pings do.
    app.cloud.set_latency(Duration::from_secs(60));
    let load: Vec<_> = (0..400)
        .map(|number| {
            tokio::spawn(
                app.client()
                    .get(
                        app.host
                            .url(&format!("api/hashes/{}", unknown_hash(number))),
                    )
                    .send(),
            )
        })
        .collect();
    let pings = async {
        for _ in 0..20 {
            let answer = app.client().get(app.host.url("")).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    };
    within(30, pings).await;
    load.iter().for_each(tokio::task::JoinHandle::abort);
}
