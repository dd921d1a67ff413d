//! Outgoing calls, seen from each command.
//!
//! A refused token is replaced once, it is never called a missing role, and a write
//! is sent once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode, routing::any};
use sandbox::{API_AUDIENCE, Body, Call, Fault, Sandbox, VdiDevice, Workbook};
use serde_json::{Value, json};

use crate::support::{
    app::{self, MALWARE, cloud},
    package::repository,
};

/// The roles that every command needs, including the tagging one.
const ROLES: [&str; 5] = [
    "File.Read.All",
    "Alert.Read.All",
    "Machine.Read.All",
    "Machine.ReadWrite.All",
    "ThreatHunting.Read.All",
];

struct Shell {
    cloud: Sandbox,
    folder: tempfile::TempDir,
}

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Shell {
    async fn new() -> Self {
        let cloud = cloud().await;
        cloud.set_graph_quota(false);
        cloud.set_roles(&ROLES);
        cloud.set_vdi(vec![VdiDevice::new(1, "vdi-1").tagged("Old")]);
        let content = std::fs::read_to_string(
            repository().join("tests/data/workbooks/coverage.workbook.json"),
        )
        .unwrap();
        cloud.set_workbooks(vec![Workbook::new(1, 1, "Coverage", &content)]);
        Self {
            cloud,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn run(&self, arguments: &[&str], settings: &[(&'static str, &str)]) -> Run {
        let mut variables = self.cloud.variables();
        variables.push(("REPORTS_URL", self.folder.path().display().to_string()));
        variables.push(("VDI_HOST_PATTERN", "^vdi-".to_owned()));
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        variables.extend(settings);
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let work = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            app::run(&arguments, &variables, "")
        };
        let output = tokio::task::spawn_blocking(work).await.expect("no panic");
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The number of calls that were answered with this status.
    fn answered(&self, status: u16) -> usize {
        let is_it = |call: &Call| call.status == status;
        let calls = [
            self.cloud.defender_calls(),
            self.cloud.graph_calls(),
            self.cloud.arm_calls(),
        ];
        calls.concat().into_iter().filter(is_it).count()
    }
}

/// Azure's response to a token that expired on its way.
fn expired() -> Fault {
    let body = json!({ "error": { "code": "ExpiredAuthenticationToken", "message": "The access token expiry UTC time is earlier than now." } });
    Fault::status(401).body(Body::Text(body.to_string()))
}

/// Each command with a call that it makes.
const COMMANDS: [(&[&str], &str); 10] = [
    (&["lookup", MALWARE], "/api/files/"),
    (&["coverage"], "Microsoft.ResourceGraph"),
    (&["coverage", "workbook"], "Microsoft.ResourceGraph"),
    (&["coverage", "workbook"], "canFetchContent"),
    (&["vdi"], "/runHuntingQuery"),
    (&["vdi"], "/api/machines"),
    (&["vdi", "tag", "--apply"], "/AddOrRemoveTag"),
    (&["doctor"], "/pricings/"),
    (&["doctor"], "/api/files/"),
    (&["doctor"], "/runHuntingQuery"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_expired_token_is_replaced_by_every_command() {
    for (arguments, call) in COMMANDS {
        let undisturbed = Shell::new().await.run(arguments, &[]).await;
        let shell = Shell::new().await;
        shell.cloud.add_fault(expired().on(call).times(1));
        let run = shell.run(arguments, &[]).await;
        assert_eq!(
            run.status, undisturbed.status,
            "{arguments:?} {call}: {}{}",
            run.stdout, run.stderr
        );
        assert!(!run.stderr.contains("NOT complete"), "{}", run.stderr);
        assert_eq!(shell.answered(401), 1, "{arguments:?} {call}");
        assert!(!run.stdout.contains("refused"), "{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_always_refused_is_never_called_a_missing_role() {
    for (arguments, call) in COMMANDS {
        let shell = Shell::new().await;
        shell.cloud.add_fault(expired().on(call));
        let run = shell.run(arguments, &[]).await;
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_ne!(run.status, 0, "{arguments:?} {call}: {said}");
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("refused the token") && words.contains("_AUDIENCE"),
            "{arguments:?} {call}: {said}"
        );
        for grant in ["role assignment create", "appRoleAssignments", "grant it"] {
            assert!(!words.contains(grant), "{arguments:?} {call}: {said}");
        }
    }
}

/// Failures that leave open whether a request was carried out.
fn ambiguous() -> Vec<Fault> {
    vec![
        Fault::status(500),
        Fault::status(503).header("retry-after", "0"),
        Fault::json("{\"id\":").body(Body::TruncatedAfter("{\"id\":".to_owned())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_is_never_sent_twice_after_an_ambiguous_failure() {
    for fault in ambiguous() {
        let shell = Shell::new().await;
        shell.cloud.add_fault(fault.clone().on("/AddOrRemoveTag"));
        let run = shell.run(&["vdi", "tag", "--apply"], &[]).await;
        assert_eq!(run.status, 3, "{}", run.stdout);
        assert!(
            run.stdout.contains("may have been carried out"),
            "{}",
            run.stdout
        );
        let tagging = |call: &Call| call.target.contains("AddOrRemoveTag");
        let calls = shell.cloud.defender_calls();
        assert_eq!(calls.into_iter().filter(tagging).count(), 1, "{fault:?}");

        shell.cloud.clear_faults();
        shell.cloud.add_fault(fault.clone().on("PATCH "));
        let repair = [("WORKBOOK_REPAIR", "true")];
        let run = shell
            .run(&["coverage", "workbook", "--format", "json"], &repair)
            .await;
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        let problem = json["copies"][0]["problem"].as_str().unwrap();
        assert!(problem.contains("may have been carried out"), "{problem}");
        let written = |call: &Call| {
            call.target.contains("/workbooks/")
                && !call.target.contains("canFetchContent")
                && !call.target.contains("permissions")
        };
        let calls = shell.cloud.arm_calls();
        assert_eq!(calls.into_iter().filter(written).count(), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_certainly_refused_is_sent_again_after_its_time() {
    let shell = Shell::new().await;
    let throttled = Fault::status(429).header("retry-after", "2");
    shell
        .cloud
        .add_fault(throttled.on("/AddOrRemoveTag").times(1));
    let run = shell.run(&["vdi", "tag", "--apply"], &[]).await;
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    let calls: Vec<Call> = shell
        .cloud
        .defender_calls()
        .into_iter()
        .filter(|call| call.target.contains("AddOrRemoveTag"))
        .collect();
    assert_eq!(calls.len(), 2);
    let waited = calls[1].at.duration_since(calls[0].at);
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_accepted_without_a_body_is_a_success() {
    for status in [200, 201, 202, 204] {
        let shell = Shell::new().await;
        let accepted = Fault::status(status).body(Body::Text(String::new()));
        shell.cloud.add_fault(accepted.clone().on("PATCH "));
        let repair = [("WORKBOOK_REPAIR", "true")];
        let run = shell
            .run(&["coverage", "workbook", "--format", "json"], &repair)
            .await;
        // The sandbox did not change anything, which the read after the write finds.
        assert!(
            run.stdout.contains("does not have what was written"),
            "{status}: {}{}",
            run.stdout,
            run.stderr
        );
        if status > 200 {
            shell.cloud.add_fault(accepted.on("/AddOrRemoveTag"));
            let run = shell.run(&["vdi", "tag", "--apply"], &[]).await;
            assert_eq!(run.status, 0, "{status}: {}", run.stdout);
        }
    }
}

/// Status, body and headers of a response.
type Canned = (u16, &'static str, Vec<(&'static str, String)>);

/// A service that answers with these statuses in turn and counts its calls.
///
/// It repeats the last status.
async fn service(answers: Vec<Canned>) -> (String, Arc<Mutex<usize>>) {
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let answer = move |_: Request| {
        let mut count = counted.lock().unwrap();
        let (status, body, headers) = answers[(*count).min(answers.len() - 1)].clone();
        *count += 1;
        let mut response =
            axum::http::Response::builder().status(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            response = response.header(name, value);
        }
        std::future::ready(response.body(axum::body::Body::from(body)).unwrap())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deployed_service_gets_another_token_too_and_its_time_is_kept() {
    let shell = Shell::new().await;
    let health = r#"{"status":"ok","version":"0.1.0","asOf":"2026-12-01T00:00:00Z","checks":[{"id":"identity","title":"Identity","state":"ok","detail":"x"}]}"#;
    let (url, calls) = service(vec![(401, "", vec![]), (200, health, vec![])]).await;
    let settings = [
        ("API_AUDIENCE", API_AUDIENCE),
        ("DEFENDER_FUNCTIONS_URL", &*url),
    ];
    let run = shell.run(&["doctor"], &settings).await;
    assert_eq!(
        (run.status, *calls.lock().unwrap()),
        (0, 2),
        "{}{}",
        run.stdout,
        run.stderr
    );

    let (url, calls) = service(vec![(401, "", vec![])]).await;
    let settings = [
        ("API_AUDIENCE", API_AUDIENCE),
        ("DEFENDER_FUNCTIONS_URL", &*url),
    ];
    let run = shell.run(&["doctor"], &settings).await;
    assert_eq!(
        (run.status, *calls.lock().unwrap()),
        (3, 2),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("refused the token") && run.stderr.contains("API_AUDIENCE"),
        "{}",
        run.stderr
    );

    // An HTTP date works as well as seconds do.
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    let (url, _) = service(vec![
        (503, "", vec![("retry-after", date)]),
        (200, health, vec![]),
    ])
    .await;
    let settings = [
        ("API_AUDIENCE", API_AUDIENCE),
        ("DEFENDER_FUNCTIONS_URL", &*url),
    ];
    let begun = std::time::Instant::now();
    let run = shell.run(&["doctor"], &settings).await;
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
