//! Tokens: when they are fetched, served and replaced, and the messages when
//! there are none.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use sandbox::{DEFENDER_AUDIENCE, Fault, IdentityBehavior, Sandbox, Tenant};
use serde_json::json;

use crate::support::{
    App,
    app::{CLEAN, MALWARE, run, unknown_hash, within},
    stage,
};

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(5)
}

fn behavior(status: u16, life_seconds: i64) -> IdentityBehavior {
    IdentityBehavior {
        status,
        life_seconds,
        ..IdentityBehavior::default()
    }
}

#[tokio::test]
async fn a_user_assigned_identity_is_asked_for_by_its_client_id() {
    let id = "2b1c7f0e-5c38-4f0e-9f0b-6f7d5c1f2a3b";
    let tenant = || Tenant {
        client_id: Some(id.to_owned()),
        ..Tenant::default()
    };
    let app = App::start_on(
        Sandbox::start(tenant()).await.unwrap(),
        &[("AZURE_CLIENT_ID", id)],
    )
    .await;
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    let call = app.cloud.identity_calls().remove(0);
    assert!(
        call.target.contains("api-version=2019-08-01") && call.target.contains(id),
        "{}",
        call.target
    );

    let without = App::start_on(Sandbox::start(tenant()).await.unwrap(), &[]).await;
    let answer = within(20, without.get_hash(MALWARE)).await;
    assert_eq!(answer.problem(503), "identity_unavailable");
    assert!(answer.text.contains("AZURE_CLIENT_ID"), "{answer:?}");
}

#[tokio::test]
async fn a22_without_a_token_nothing_is_concluded_and_the_process_lives() {
    for (status, delay) in [(500, 0), (404, 0), (400, 0), (200, 60)] {
        let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "3")]).await;
        app.cloud.set_identity(IdentityBehavior {
            delay: Duration::from_secs(delay),
            ..behavior(status, 3_599)
        });
        let answer = within(20, app.post_hashes(&[MALWARE, CLEAN])).await.json();
        assert_eq!(
            (&answer["summary"]["failed"], &answer["complete"]),
            (&json!(2), &json!(false)),
            "{answer}"
        );
        assert_eq!(
            (&answer["summary"]["clean"], &answer["summary"]["unknown"]),
            (&json!(0), &json!(0))
        );
        let expected = if delay > 0 {
            "deadline_exceeded"
        } else {
            "identity_unavailable"
        };
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["error"]["code"], expected, "{status}: {answer}");
        }
        assert_eq!(
            app.client()
                .get(app.host.url(""))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
        assert_eq!(app.calls(), 0);
    }
}

#[tokio::test]
async fn a22_remembered_answers_are_reported_as_stale_while_there_is_no_token() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let services = stage::services(&cloud);
    let hash = MALWARE.parse().unwrap();
    services.hashes.look_up(hash, soon()).await;
    cloud.set_identity(behavior(500, 3_599));
    stage::time_passes(Duration::from_secs(7 * 3_600)).await;
    let answer = services.hashes.look_up(hash, soon()).await;
    assert_eq!((answer.found, answer.stale), (Some(true), true));
    let unknown = services
        .hashes
        .look_up(unknown_hash(1).parse().unwrap(), soon())
        .await;
    assert_eq!(unknown.error.unwrap().code, "identity_unavailable");

    cloud.set_identity(IdentityBehavior::default());
    stage::time_passes(Duration::from_secs(6)).await;
    assert!(
        !services.hashes.look_up(hash, soon()).await.stale,
        "it recovers by itself"
    );
}

#[tokio::test]
async fn a23_a_token_is_renewed_in_the_background_while_the_old_one_is_served() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let identity = stage::identity(&cloud);
    let first = identity.token(DEFENDER_AUDIENCE, soon()).await.unwrap();
    stage::time_passes(Duration::from_secs(1_700)).await;
    identity.token(DEFENDER_AUDIENCE, soon()).await.unwrap();
    assert_eq!(cloud.identity_calls().len(), 1, "not before half its life");

    stage::time_passes(Duration::from_secs(200)).await;
    let waiting = (0..50).map(|_| identity.token(DEFENDER_AUDIENCE, soon()));
    let served = futures::future::join_all(waiting).await;
    assert!(
        served
            .iter()
            .all(|token| std::ptr::eq(&*first, &**token.as_ref().unwrap())),
        "no caller waits"
    );
    within(5, async {
        while std::ptr::eq(
            &*first,
            &*identity.token(DEFENDER_AUDIENCE, soon()).await.unwrap(),
        ) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(cloud.identity_calls().len(), 2, "one renewal for all");
}

#[tokio::test]
async fn a23_a_token_is_served_to_its_end_while_the_endpoint_is_down_and_not_longer() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let identity = stage::identity(&cloud);
    identity.token(DEFENDER_AUDIENCE, soon()).await.unwrap();
    cloud.set_identity(behavior(500, 3_599));
    stage::time_passes(Duration::from_secs(3_500)).await;
    assert!(identity.token(DEFENDER_AUDIENCE, soon()).await.is_ok());
    stage::time_passes(Duration::from_secs(100)).await;
    assert!(identity.token(DEFENDER_AUDIENCE, soon()).await.is_err());
}

/// Looks up two hashes while tokens seem to expire in this many seconds.
async fn works_with_a_clock_that_sees(life_seconds: i64) {
    let app = App::start().await;
    app.cloud.set_identity(behavior(200, life_seconds));
    for hash in [MALWARE, CLEAN] {
        assert_eq!(app.get_hash(hash).await.status, 200, "{life_seconds}");
    }
    assert_eq!(
        app.cloud.identity_calls().len(),
        1,
        "{life_seconds}: one token serves both"
    );
}

#[tokio::test]
async fn a24_a_clock_that_is_ahead_costs_no_verdict() {
    for life_seconds in [-600, 0, 60] {
        works_with_a_clock_that_sees(life_seconds).await;
    }
}

#[tokio::test]
async fn b22_a_clock_in_the_past_at_start_costs_no_verdict() {
    for life_seconds in [4_199, 20 * 365 * 24 * 3_600] {
        works_with_a_clock_that_sees(life_seconds).await;
    }
}

#[tokio::test]
async fn a24_a_token_that_is_refused_early_is_replaced() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let services = stage::services(&cloud);
    services
        .hashes
        .look_up(MALWARE.parse().unwrap(), soon())
        .await;
    stage::time_passes(Duration::from_secs(60)).await;
    cloud.add_fault(Fault::status(401).times(1));
    let answer = services
        .hashes
        .look_up(CLEAN.parse().unwrap(), soon())
        .await;
    assert_eq!(answer.found, Some(true));
    assert_eq!(cloud.identity_calls().len(), 2);
}

#[tokio::test]
async fn b21_fifty_requests_before_the_first_answer_cost_one_token() {
    let app = App::start().await;
    app.cloud.set_identity(IdentityBehavior {
        delay: Duration::from_millis(300),
        ..IdentityBehavior::default()
    });
    let hashes: Vec<String> = (0..50).map(unknown_hash).collect();
    let answers = futures::future::join_all(hashes.iter().map(|hash| app.get_hash(hash))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.json()["verdict"] == "Unknown")
    );
    assert_eq!((app.cloud.identity_calls().len(), app.calls()), (1, 50));
}

#[tokio::test]
async fn in_azure_without_an_identity_the_answer_says_what_to_do() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let url = cloud.defender_url();
    let variables = [
        ("DEFENDER_API_URL", url),
        ("CONTAINER_NAME", "x".to_owned()),
    ];
    let output = run(&["lookup", MALWARE, "--format", "json"], &variables, "");
    assert_eq!(output.status.code(), Some(3));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let detail = answer["results"][0]["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("no managed identity"), "{detail}");
}

/// Puts a program called `az` on a separate search path.
fn fake_az(script: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let az = folder.path().join("az");
    fs::write(&az, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&az, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_workstation_the_developers_sign_in_is_used() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let token = cloud.token(DEFENDER_AUDIENCE);
    let (_folder, path) = fake_az(&format!(
        r#"case "$*" in *--scope\ {DEFENDER_AUDIENCE}/.default*) ;; *) echo "wrong scope: $*" >&2; exit 1;; esac
echo '{{"accessToken":"{token}","expiresOn":"2036-11-23 10:00:00.000000","expires_on":2111220000,"tokenType":"Bearer"}}'"#
    ));
    let variables = [
        ("DEFENDER_API_URL", cloud.defender_url()),
        ("PATH", path),
        ("HOME", "/nonexistent".to_owned()),
    ];
    let output = run(&["lookup", MALWARE], &variables, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("Malicious")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sign_in_the_command_to_sign_in_is_named() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let (_folder, path) = fake_az("echo 'Please run az login to setup account.' >&2; exit 1");
    let variables = [("DEFENDER_API_URL", cloud.defender_url()), ("PATH", path)];
    let output = run(&["lookup", MALWARE], &variables, "");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .replace('\n', " ")
            .contains("az login")
    );
}
