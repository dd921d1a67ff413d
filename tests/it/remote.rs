//! `--server`: commands that query the deployed service with the caller's token.

mod hostile_service;

use sandbox::API_AUDIENCE;
use serde_json::Value;

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

/// A deployed service, and a shell whose sign-in has these roles.
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

    /// Runs with these settings in addition to those of the identity.
    ///
    /// No setting says where Defender or Azure are.
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

    /// Queries the service itself, as a caller with this role.
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
async fn a_look_up_by_the_service_is_shown_like_a_local_one() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let inputs = [MALWARE, PUA, CLEAN, "zz"];
    let there = stage.run(&[&["lookup"][..], &inputs].concat()).await;
    assert_eq!(there.code, 3, "zz could not be checked: {}", there.stderr);
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
    // A call of one second covers fewer hashes than a batch of the command has.
    stage
        .app
        .cloud
        .set_latency(std::time::Duration::from_millis(400));
    stage.app.cloud.set_limits(10_000, 10_000);
    let hashes: Vec<String> = (0..110).map(unknown_hash).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), hashes.join("\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let run = stage
        .run(&["lookup", "--file", path, "--format", "json"])
        .await;
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (run.code, &answer["summary"]["unknown"]),
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
        table.stdout.starts_with("DEFENDER FOR AI") || table.stdout.contains(" DEFENDER FOR AI"),
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
async fn every_obstacle_is_reported_with_what_to_do() {
    let stage = Stage::new(&["Reports.Read"]).await;
    let url = format!("http://127.0.0.1:{}", stage.app.host.port);
    let run = stage.run(&["lookup", MALWARE]).await;
    assert_eq!(run.code, 3);
    assert!(
        run.stdout.contains("NOT CHECKED") && run.stdout.contains("`Hashes.Read`"),
        "{}",
        run.stdout
    );
    let run = stage.run(&["doctor"]).await;
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("`Reports.Run`"), "{}", run.stderr);
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
        let run = stage.run_with(&settings, &arguments).await;
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    // The server at this address is not ours.
    let other = stage.app.cloud.login_url();
    let run = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["coverage", "--server", &other],
        )
        .await;
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("check `--server`"), "{}", run.stderr);
}
