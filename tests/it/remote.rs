//! `--server`: commands that ask the deployed service with the caller's own token.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::any};
use sandbox::API_AUDIENCE;
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{Answer, CLEAN, MALWARE, PUA, run, unknown_hash},
    host::ClientRequest,
};

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A deployed service, and a shell whose sign-in holds these roles.
struct Stage {
    app: App,
}

impl Stage {
    async fn new(roles: &[&str]) -> Self {
        Self::with(roles, &[]).await
    }

    async fn with(roles: &[&str], settings: &[(&'static str, &str)]) -> Self {
        let app = App::start_guarded(settings).await;
        app.cloud.set_graph_quota(false);
        let token = app.cloud.sign(&app.cloud.caller_claims(roles));
        app.cloud.set_caller_token(&token);
        Self { app }
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        let url = format!("http://127.0.0.1:{}", self.app.host.port);
        self.run_with(
            &[
                ("API_AUDIENCE", API_AUDIENCE),
                ("DEFENDER_FUNCTIONS_URL", &url),
            ],
            arguments,
        )
        .await
    }

    /// With these settings beside those of the identity: nothing tells where
    /// Defender or Azure are.
    async fn run_with(&self, settings: &[(&'static str, &str)], arguments: &[&str]) -> Run {
        let mut variables = self.app.cloud.variables();
        variables.retain(|(name, _)| name.starts_with("IDENTITY_"));
        variables.push(("ARM_URL", "https://127.0.0.1:9".to_owned()));
        variables.push(("DEFENDER_API_URL", "https://127.0.0.1:9".to_owned()));
        variables.extend(
            settings
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let work = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&arguments, &variables, "")
        };
        let output = tokio::task::spawn_blocking(work).await.expect("no panic");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asks the service itself, as a caller with this role.
    async fn ask(&self, method: &str, target: &str, role: &str) -> Answer {
        let cloud = &self.app.cloud;
        let authorization = format!("Bearer {}", cloud.sign(&cloud.caller_claims(&[role])));
        let headers = [("Authorization", authorization.as_str())];
        let request = ClientRequest {
            method,
            target,
            headers: &headers,
            body: None,
        };
        let answer = self.app.send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Runs a report of the service, as its timer would.
    async fn report(&self, path: &str) {
        self.ask("POST", path, "Reports.Run").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_by_the_service_is_told_as_one_of_ones_own() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let inputs = [MALWARE, PUA, CLEAN, "zz"];
    let there = stage.run(&[&["lookup"][..], &inputs].concat()).await;
    assert_eq!(there.code, 3, "zz could not be asked: {}", there.stderr);
    let variables = stage.app.cloud.variables();
    let here = run(&[&["lookup"][..], &inputs].concat(), &variables, "");
    assert_eq!(there.stdout, String::from_utf8(here.stdout).unwrap());
    let json = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let arguments = [
        &[
            "lookup",
            "--format",
            "json",
            "--include",
            "stats,alerts,devices,indicators",
        ][..],
        &inputs,
    ]
    .concat();
    let there = json(&stage.run(&arguments).await.stdout);
    assert_eq!(there["summary"]["worst"], "Malicious");
    let first = &there["results"][0];
    assert!(
        first["stats"]["organizationPrevalence"].is_u64() && first["devices"]["items"].is_null(),
        "{first:#}"
    );
    assert_eq!(
        first["indicators"]["error"]["code"], "missing_permission",
        "{first:#}"
    );
    assert!(first["indicators"].get("items").is_none(), "{first:#}");
    assert_eq!(first["nextActions"][0]["action"], "create_indicator");
    let fails = stage
        .run(&["lookup", MALWARE, "--fail-on", "malicious"])
        .await;
    assert_eq!(fails.code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_put_off_is_asked_again() {
    let settings = [
        ("LOOKUP_DEADLINE_SECONDS", "1"),
        ("DEFENDER_CALLS_PER_MINUTE", "10000"),
    ];
    let stage = Stage::with(&["Hashes.Read"], &settings).await;
    // A call of one second asks for fewer than a batch of the command has.
    stage
        .app
        .cloud
        .set_latency(std::time::Duration::from_millis(400));
    stage.app.cloud.set_limits(10_000, 10_000);
    let hashes: Vec<String> = (0..110).map(unknown_hash).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), hashes.join("\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let told = stage
        .run(&["lookup", "--file", path, "--format", "json"])
        .await;
    let answer: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(
        (told.code, &answer["summary"]["unknown"]),
        (0, &Value::from(110)),
        "{}",
        answer["summary"]
    );
    assert!(
        stage.app.calls() < 130,
        "what was answered is not asked again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reports_of_the_service_are_read_and_copied() {
    let stage = Stage::with(
        &["Reports.Read", "Reports.Run"],
        &[("VDI_HOST_PATTERN", "^vdi-")],
    )
    .await;
    let none = stage.run(&["coverage"]).await;
    assert_eq!(none.code, 3);
    assert!(
        none.stderr.contains("there is no coverage report yet"),
        "{}",
        none.stderr
    );
    stage.report("/api/coverage").await;
    let table = stage.run(&["coverage"]).await;
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(
        table.stdout.starts_with("AI PLAN") || table.stdout.contains(" AI PLAN"),
        "{}",
        table.stdout
    );
    assert!(table.stdout.contains(" EXPOSED ") && table.stdout.contains("paid plans on"));
    assert!(table.stderr.starts_with("as of 20"), "{}", table.stderr);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let copied = stage
        .run(&[
            "coverage",
            "--format",
            "json",
            "--out",
            out.to_str().unwrap(),
        ])
        .await;
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    let summary: Value = serde_json::from_str(&copied.stdout).unwrap();
    assert_eq!(
        std::fs::read_to_string(out.join("summary.json")).unwrap(),
        copied.stdout
    );
    assert!(out.join("coverage.csv").is_file() && summary["subscriptions"].as_u64() > Some(0));
    let again = stage
        .run(&["coverage", "--out", out.to_str().unwrap()])
        .await;
    assert_eq!(
        again.code, 2,
        "files are written over no others: {}",
        again.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn virtual_desktops_and_health_are_what_the_service_sees() {
    let roles = ["Reports.Read", "Reports.Run"];
    let stage = Stage::with(&roles, &[("VDI_HOST_PATTERN", "^vdi-")]).await;
    stage.report("/api/vdi").await;
    let vdi = stage.run(&["vdi"]).await;
    assert_eq!(vdi.code, 0, "{}", vdi.stderr);
    assert!(
        vdi.stdout.contains("TN-01") && vdi.stdout.contains("of reset hosts"),
        "{}",
        vdi.stdout
    );
    let health = stage.run(&["doctor"]).await;
    assert_eq!(health.code, 0, "{}{}", health.stdout, health.stderr);
    assert!(
        health.stdout.contains("OK           File verdicts"),
        "{}",
        health.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_told_with_what_to_do() {
    let stage = Stage::new(&["Reports.Read"]).await;
    let url = format!("http://127.0.0.1:{}", stage.app.host.port);
    let told = stage.run(&["lookup", MALWARE]).await;
    assert_eq!(told.code, 3);
    assert!(
        told.stdout.contains("FAILED") && told.stdout.contains("`Hashes.Read`"),
        "{}",
        told.stdout
    );
    let told = stage.run(&["doctor"]).await;
    assert_eq!(told.code, 3);
    assert!(told.stderr.contains("`Reports.Run`"), "{}", told.stderr);
    // Settings.
    for (settings, arguments, why) in [
        (
            vec![],
            vec!["lookup", MALWARE, "--server", &url],
            "`API_AUDIENCE` is not set",
        ),
        (
            vec![("API_AUDIENCE", API_AUDIENCE)],
            vec!["lookup", MALWARE, "--server", "http://contoso.example"],
            "not an https:// URL",
        ),
        (
            vec![("API_AUDIENCE", API_AUDIENCE)],
            vec!["coverage", "--since", "latest", "--server", &url],
            "omit --since",
        ),
        (
            vec![("API_AUDIENCE", API_AUDIENCE)],
            vec!["vdi", "--expected-hosts", "x", "--server", &url],
            "does not take --expected-hosts",
        ),
    ] {
        let told = stage.run_with(&settings, &arguments).await;
        assert_eq!(told.code, 2, "{arguments:?}");
        assert!(told.stderr.contains(why), "{}", told.stderr);
    }
    // Nothing of ours answers there.
    let other = stage.app.cloud.login_url();
    let told = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["coverage", "--server", &other],
        )
        .await;
    assert_eq!(told.code, 3);
    assert!(told.stderr.contains("check `--server`"), "{}", told.stderr);
}

/// A server on loopback; its URL.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// A service that answers otherwise than ours would: with these bodies, one after
/// another, the last one for ever. Its URL.
async fn other_service(bodies: Vec<(u16, String)>) -> String {
    let bodies = Arc::new(Mutex::new(bodies));
    let answer = move || {
        let mut bodies = bodies.lock().unwrap();
        let (status, body) = match bodies.len() {
            1 => bodies[0].clone(),
            _ => bodies.remove(0),
        };
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        std::future::ready((status, [("retry-after", "1")], body))
    };
    serve(Router::new().fallback(any(answer))).await
}

/// What our service says of these hashes, to be changed.
async fn answer_about(stage: &Stage, hashes: &[&str]) -> Value {
    let arguments = [&["lookup", "--format", "json"][..], hashes].concat();
    serde_json::from_str(&stage.run(&arguments).await.stdout).unwrap()
}

/// Makes an answer of ours one that ours would never give.
type Change = fn(&mut Value);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_never_taken_for_another_hash() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let whole = answer_about(&stage, &[MALWARE, CLEAN]).await;
    let changes: [(&str, Change); 8] = [
        ("one is missing", |answer| {
            answer["results"].as_array_mut().unwrap().remove(0);
        }),
        ("one more", |answer| {
            let clean = answer["results"][1].clone();
            answer["results"].as_array_mut().unwrap().push(clean);
        }),
        ("in another order", |answer| {
            answer["results"].as_array_mut().unwrap().reverse();
        }),
        ("of another file", |answer| {
            answer["results"][0]["hash"] = json!("f".repeat(64));
        }),
        ("without its verdict", |answer| {
            answer["results"][0]["verdict"] = Value::Null;
        }),
        ("a verdict of a failure", |answer| {
            answer["results"][1]["status"] = json!("failed");
        }),
        ("by other rules", |answer| answer["ruleSet"] = json!("99")),
        ("nothing", |answer| *answer = json!({})),
    ];
    for (what, change) in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        let url = other_service(vec![(200, changed.to_string())]).await;
        let settings = [("API_AUDIENCE", API_AUDIENCE)];
        let arguments = ["lookup", MALWARE, CLEAN, "--server", &url];
        let told = stage.run_with(&settings, &arguments).await;
        assert_eq!(told.code, 3, "{what}: {}", told.stdout);
        assert_eq!(told.stdout.matches("FAILED").count(), 2, "{}", told.stdout);
        assert!(!told.stdout.contains(" Clean "), "{what}: {}", told.stdout);
    }
    // The evidence that was asked for is not there.
    let url = other_service(vec![(200, whole.to_string())]).await;
    let arguments = [
        "lookup",
        MALWARE,
        CLEAN,
        "--include",
        "stats",
        "--server",
        &url,
    ];
    let told = stage
        .run_with(&[("API_AUDIENCE", API_AUDIENCE)], &arguments)
        .await;
    assert_eq!(told.code, 3, "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_before_the_service_is_asked_again() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let whole = answer_about(&stage, &[MALWARE]).await.to_string();
    let statuses = [429, 502, 504].map(|status| (status, String::new()));
    let url = other_service([&statuses[..], &[(200, whole)]].concat()).await;
    let told = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["lookup", MALWARE, "--server", &url],
        )
        .await;
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
}

/// Ctrl-C while the service wants to be left alone.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_wait_is_not_lost() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let mut answer = answer_about(&stage, &[MALWARE, CLEAN]).await;
    let put_off = &mut answer["results"][1];
    put_off["status"] = json!("throttled");
    put_off["verdict"] = Value::Null;
    put_off["error"] =
        json!({ "code": "upstream_throttled", "detail": "later", "retryAfterSeconds": 600 });
    let url = other_service(vec![(200, answer.to_string())]).await;
    let mut variables = stage.app.cloud.variables();
    variables.retain(|(name, _)| name.starts_with("IDENTITY_"));
    variables.push(("API_AUDIENCE", API_AUDIENCE.to_owned()));
    let arguments = [
        "lookup",
        MALWARE,
        CLEAN,
        "--server",
        &url,
        "--fail-on",
        "malicious",
    ];
    let mut child = crate::support::app::spawn(&arguments, &variables);
    let mut said = tokio::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line)
        .await
        .unwrap();
    assert!(line.contains("600 s before the other 1 hash;"), "{line}");
    let id = child.id().unwrap().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(killed.unwrap().success());
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await;
    let output = output.unwrap().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("Malicious"), "{table}");
    assert_eq!(output.status.code(), Some(1), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_not_what_its_manifest_says_is_not_told() {
    let stage = Stage::with(&["Reports.Read", "Reports.Run"], &[]).await;
    stage.report("/api/coverage").await;
    let manifest = stage.ask("GET", "/api/coverage/manifest.json", "Reports.Read");
    let manifest = manifest.await.json().to_string();
    for body in ["{\"complete\":true}", "<html></html>", ""] {
        let url = other_service(vec![(200, manifest.clone()), (200, body.to_owned())]).await;
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("report");
        let told = stage
            .run_with(
                &[("API_AUDIENCE", API_AUDIENCE)],
                &["coverage", "--server", &url, "--out", out.to_str().unwrap()],
            )
            .await;
        assert_eq!((told.code, told.stdout.as_str()), (3, ""), "{body}");
        assert!(told.stderr.contains("try again"), "{}", told.stderr);
        assert!(!out.exists(), "nothing half");
    }
    let url = other_service(vec![(200, "{\"complete\":true}".to_owned())]).await;
    let told = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["coverage", "--server", &url],
        )
        .await;
    assert_eq!(told.code, 3);
    assert!(told.stderr.contains("same version"), "{}", told.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_lacks_is_told_whatever_it_says_of_the_whole() {
    let stage = Stage::new(&["Reports.Run"]).await;
    let mut health: Value = {
        let (url, settings) = (stage.app.host.port, [("API_AUDIENCE", API_AUDIENCE)]);
        let server = format!("http://127.0.0.1:{url}");
        let arguments = ["doctor", "--format", "json", "--server", &server];
        serde_json::from_str(&stage.run_with(&settings, &arguments).await.stdout).unwrap()
    };
    health["checks"][0]["state"] = json!("missing");
    health["status"] = json!("ok");
    for (body, code) in [
        (health.to_string(), 1),
        (
            json!({ "status": "ok", "version": "1", "asOf": "", "checks": [] }).to_string(),
            3,
        ),
        ("{}".to_owned(), 3),
    ] {
        let url = other_service(vec![(200, body)]).await;
        let told = stage
            .run_with(
                &[("API_AUDIENCE", API_AUDIENCE)],
                &["doctor", "--server", &url],
            )
            .await;
        assert_eq!(told.code, code, "{}{}", told.stdout, told.stderr);
    }
}

/// A service that puts everything off is asked so often, and not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_that_are_put_off_for_ever_are_given_up_together() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let answer = move |body: String| {
        *counted.lock().unwrap() += 1;
        let asked: Value = serde_json::from_str(&body).unwrap();
        let put_off = |hash: &Value| {
            let error =
                json!({ "code": "upstream_throttled", "detail": "later", "retryAfterSeconds": 1 });
            functions::hashes::HashResult::unanswered(
                hash.as_str().unwrap(),
                functions::hashes::HashKind::Sha256,
                functions::hashes::ItemStatus::Throttled,
                serde_json::from_value(error).unwrap(),
            )
        };
        let results = asked["hashes"].as_array().unwrap().iter().map(put_off);
        let answer = functions::hashes::LookupAnswer::new(String::new(), results.collect());
        std::future::ready(serde_json::to_string(&answer).unwrap())
    };
    let url = serve(Router::new().fallback(any(answer))).await;
    let hashes: Vec<String> = (0..250).map(unknown_hash).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), hashes.join("\n")).unwrap();
    let arguments = [
        "lookup",
        "--file",
        file.path().to_str().unwrap(),
        "--server",
        &url,
    ];
    let told = stage
        .run_with(&[("API_AUDIENCE", API_AUDIENCE)], &arguments)
        .await;
    assert_eq!(told.code, 3, "{}", told.stderr);
    assert!(
        told.stdout.contains("250 of 250 hashes NOT checked"),
        "{}",
        told.stdout
    );
    assert_eq!(*calls.lock().unwrap(), 23, "twenty waits, then each once");
}
