//! The HTTP API and the settings.

use std::process::Output;

use serde_json::Value;

use super::{assess, assess_with, clean, item};
use crate::support::{App, app::run, host::ClientRequest};

#[test]
fn another_model_and_another_start_change_what_is_staged() {
    let (_, single) = assess(&clean(), &["--startup", "domain"]);
    assert_eq!(item(&single, "GI-03")["state"], "NotApplicable");
    let (_, multiple) = assess(&clean(), &["--entry", "multiple"]);
    assert_eq!(item(&multiple, "GI-01")["state"], "NotApplicable");
    assert_eq!(item(&multiple, "GI-03")["state"], "Fail");
    let bad = assess_with(&clean().to_string(), &["--tag", "a'; Remove-Item"]);
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn settings_are_the_defaults_at_a_shell_and_a_blank_one_is_none() {
    let with = |tag: &str, model: &str| {
        let settings = [
            ("VDI_DEVICE_TAG", tag.to_owned()),
            ("VDI_ENTRY_MODEL", model.to_owned()),
        ];
        run(
            &["golden-image", "assess", "-", "--format", "json"],
            &settings,
            &clean().to_string(),
        )
    };
    let seen = |output: &Output, id: &str| {
        let assessment: Value = serde_json::from_slice(&output.stdout).unwrap();
        item(&assessment, id)["seen"].as_str().unwrap().to_owned()
    };
    assert!(seen(&with("Pool-7", " multiple "), "GI-13").contains("expected Pool-7"));
    assert!(seen(&with("Pool-7", " multiple "), "GI-01").contains("multiple device entries"));
    assert!(seen(&with(" ", ""), "GI-13").contains("expected VDI-NonPersistent"));
    let refused = with("a,b", "both");
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr).lines().count(),
        2,
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_http_api_answers_the_same_assessment() {
    let app = App::start().await;
    let evidence = clean().to_string();
    let answer = app
        .send(ClientRequest::post("/api/golden-image", &evidence))
        .await;
    assert_eq!(answer.json(), assess(&clean(), &[]).1);
    let other = ClientRequest::post(
        "/api/golden-image?entry=multiple&startup=domain&role=golden&tag=Other",
        &evidence,
    );
    let (_, same) = assess(
        &clean(),
        &[
            "--entry",
            "multiple",
            "--startup",
            "domain",
            "--role",
            "golden",
            "--tag",
            "Other",
        ],
    );
    assert_eq!(app.send(other).await.json(), same);
    for (format, start) in [("markdown", "#"), ("html", "<!doctype html>")] {
        let path = format!("/api/golden-image?format={format}");
        let answer = app.send(ClientRequest::post(&path, &evidence)).await;
        assert!(
            answer.text.to_ascii_lowercase().starts_with(start),
            "{answer:?}"
        );
    }
    for (path, body, code) in [
        ("/api/golden-image", "", "empty_body"),
        ("/api/golden-image", "{\"mpPref\":", "no_evidence"),
        (
            "/api/golden-image",
            "{\"mpPref\":{},\"schemaVersion\":2}",
            "no_evidence",
        ),
        ("/api/golden-image?role=parent", "{}", "invalid_parameter"),
        ("/api/golden-image?tag=a,b", "{}", "invalid_parameter"),
        ("/api/golden-image?format=table", "{}", "invalid_parameter"),
        ("/api/golden-image?rolle=golden", "{}", "unknown_parameter"),
    ] {
        let answer = app.send(ClientRequest::post(path, body)).await;
        assert_eq!(answer.problem(400), code, "{path} {body}");
    }
}

#[tokio::test]
async fn the_http_api_answers_the_same_scripts() {
    let app = App::start().await;
    let printed = |arguments: &[&str]| {
        let output = run(&[&["golden-image", "script"], arguments].concat(), &[], "");
        String::from_utf8(output.stdout).unwrap()
    };
    for (path, arguments) in [
        ("collect-evidence", &["collect-evidence"][..]),
        (
            "stage-onboarding?package=C%3A%5Cit%27s&entry=multiple",
            &[
                "stage-onboarding",
                "--package",
                r"C:\it's",
                "--entry",
                "multiple",
            ],
        ),
        (
            "fslogix-exclusions?profiles=%5C%5Ca%5Cb&profiles=%5C%5Cc%5Cd&cloud-cache=true",
            &[
                "fslogix-exclusions",
                "--profiles",
                r"\\a\b",
                "--profiles",
                r"\\c\d",
                "--cloud-cache",
            ],
        ),
        (
            "Scan-Settings?quick-scan-time=13:15",
            &["scan-settings", "--quick-scan-time", "13:15"],
        ),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!("/api/golden-image/{path}")))
            .await;
        assert_eq!(answer.text, printed(arguments), "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    for (path, status, code) in [
        ("nothing", 404, "no_such_script"),
        ("device-tag?tag=a%0Ab", 400, "invalid_parameter"),
        ("device-tag?share=x", 400, "unknown_parameter"),
        ("validate?tag=x", 400, "unknown_parameter"),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!("/api/golden-image/{path}")))
            .await;
        assert_eq!(answer.problem(status), code, "{path}");
    }
}

#[tokio::test]
async fn settings_say_what_an_image_is_expected_to_be_like() {
    let app = App::start_guarded(&[
        ("VDI_DEVICE_TAG", "Pool-7"),
        ("VDI_ENTRY_MODEL", "Multiple"),
    ])
    .await;
    let token =
        |roles: &[&str]| format!("Bearer {}", app.cloud.sign(&app.cloud.caller_claims(roles)));
    let (reader, other) = (token(&["Reports.Read"]), token(&["Hashes.Read"]));
    let headers = [("Authorization", reader.as_str())];
    let evidence = clean().to_string();
    let answer = app
        .send(ClientRequest::post("/api/golden-image", &evidence).with(&headers))
        .await
        .json();
    assert!(
        item(&answer, "GI-13")["seen"]
            .as_str()
            .unwrap()
            .contains("expected Pool-7")
    );
    assert_eq!(item(&answer, "GI-01")["state"], "NotApplicable");
    let headers = [("Authorization", other.as_str())];
    let answer = app
        .send(ClientRequest::get("/api/golden-image/validate").with(&headers))
        .await;
    assert_eq!(answer.status, 403);
}
