//! A service that answers wrong, late or about something else.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::any};
use sandbox::API_AUDIENCE;
use serde_json::{Value, json};

use super::Stage;
use crate::support::app::{CLEAN, MALWARE, unknown_hash};

/// Starts a server on loopback; returns its URL.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Starts a service that answers differently from ours; returns its URL.
///
/// It sends these bodies, one after another, and repeats the last one.
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

/// Our service's response about these hashes, to be changed.
async fn answer_about(stage: &Stage, hashes: &[&str]) -> Value {
    let arguments = [&["lookup", "--format", "json"][..], hashes].concat();
    serde_json::from_str(&stage.run(&arguments).await.stdout).unwrap()
}

/// Changes a response of ours into one that ours would never send.
type Change = fn(&mut Value);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_never_taken_for_another_hash() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let complete = answer_about(&stage, &[MALWARE, CLEAN]).await;
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
        let mut changed = complete.clone();
        change(&mut changed);
        let url = other_service(vec![(200, changed.to_string())]).await;
        let settings = [("API_AUDIENCE", API_AUDIENCE)];
        let arguments = ["lookup", MALWARE, CLEAN, "--server", &url];
        let run = stage.run_with(&settings, &arguments).await;
        assert_eq!(run.code, 3, "{what}: {}", run.stdout);
        assert_eq!(
            run.stdout.matches("NOT CHECKED").count(),
            2,
            "{}",
            run.stdout
        );
        assert!(!run.stdout.contains(" Clean "), "{what}: {}", run.stdout);
    }
    // The requested evidence is missing.
    let url = other_service(vec![(200, complete.to_string())]).await;
    let arguments = [
        "lookup",
        MALWARE,
        CLEAN,
        "--include",
        "stats",
        "--server",
        &url,
    ];
    let run = stage
        .run_with(&[("API_AUDIENCE", API_AUDIENCE)], &arguments)
        .await;
    assert_eq!(run.code, 3, "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_before_the_service_is_asked_again() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let complete = answer_about(&stage, &[MALWARE]).await.to_string();
    let statuses = [429, 502, 504].map(|status| (status, String::new()));
    let url = other_service([&statuses[..], &[(200, complete)]].concat()).await;
    let run = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["lookup", MALWARE, "--server", &url],
        )
        .await;
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
}

/// Interrupts while the service asks to wait.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_from_before_a_wait_are_not_lost() {
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
async fn a_report_that_does_not_match_its_manifest_is_not_shown() {
    let stage = Stage::with(&["Reports.Read", "Reports.Run"], &[]).await;
    stage.report("/api/coverage").await;
    let manifest = stage.ask("GET", "/api/coverage/manifest.json", "Reports.Read");
    let manifest = manifest.await.json().to_string();
    for body in ["{\"complete\":true}", "<html></html>", ""] {
        let url = other_service(vec![(200, manifest.clone()), (200, body.to_owned())]).await;
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("report");
        let run = stage
            .run_with(
                &[("API_AUDIENCE", API_AUDIENCE)],
                &["coverage", "--server", &url, "--out", out.to_str().unwrap()],
            )
            .await;
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{body}");
        assert!(run.stderr.contains("try again"), "{}", run.stderr);
        assert!(!out.exists(), "no partial files");
    }
    let url = other_service(vec![(200, "{\"complete\":true}".to_owned())]).await;
    let run = stage
        .run_with(
            &[("API_AUDIENCE", API_AUDIENCE)],
            &["coverage", "--server", &url],
        )
        .await;
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("same version"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_of_a_service_are_reported_even_if_it_claims_to_be_complete() {
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
        let run = stage
            .run_with(
                &[("API_AUDIENCE", API_AUDIENCE)],
                &["doctor", "--server", &url],
            )
            .await;
        assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    }
}

/// A service that always says "later" is asked a limited number of times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_longer_than_the_quota_ends_the_look_up_with_its_time() {
    let stage = Stage::new(&["Hashes.Read"]).await;
    let mut answer = answer_about(&stage, &[MALWARE, CLEAN]).await;
    let put_off = &mut answer["results"][1];
    put_off["status"] = json!("throttled");
    put_off["verdict"] = Value::Null;
    put_off["error"] =
        json!({ "code": "upstream_throttled", "detail": "later", "retryAfterSeconds": 4_000 });
    answer["summary"] = json!({ "total": 2, "malicious": 1, "suspicious": 0, "unknown": 0, "clean": 0, "invalid": 0, "failed": 1, "worst": "Malicious" });
    answer["complete"] = json!(false);
    let url = other_service(vec![(200, answer.to_string())]).await;
    let arguments = [
        "lookup", MALWARE, CLEAN, "--format", "json", "--server", &url,
    ];
    let settings = [("API_AUDIENCE", API_AUDIENCE)];
    let run = stage.run_with(&settings, &arguments).await;
    assert_eq!(run.code, 3, "{}{}", run.stdout, run.stderr);
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(shown["results"][0]["verdict"], "Malicious");
    assert_eq!(shown["results"][1]["error"]["retryAfterSeconds"], 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_that_are_always_put_off_are_abandoned_together() {
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
    let run = stage
        .run_with(&[("API_AUDIENCE", API_AUDIENCE)], &arguments)
        .await;
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("NOT checked: 250 files.\n") && run.stdout.lines().count() == 3,
        "{}",
        run.stdout
    );
    assert_eq!(*calls.lock().unwrap(), 21, "no call without its wait");
}
