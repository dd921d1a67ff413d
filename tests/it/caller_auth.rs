//! Access control: only tokens of our tenant with the role are let in.

mod odd_tokens;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sandbox::{DEFENDER_AUDIENCE, Sandbox, Tenant};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{Answer, MALWARE},
    host::ClientRequest,
};

/// Requests one verdict with this `Authorization` header.
async fn ask(app: &App, authorization: &str) -> Answer {
    let headers = [("Authorization", authorization)];
    app.send(ClientRequest::get(&format!("/api/hashes/{MALWARE}")).with(&headers))
        .await
}

/// Requests one verdict with a token of these claims.
async fn ask_as(app: &App, claims: &Value) -> Answer {
    ask(app, &format!("Bearer {}", app.cloud.sign(claims))).await
}

/// Good claims with one of them replaced, or removed if the value is null.
fn but(app: &App, name: &str, value: Value) -> Value {
    let mut claims = app.cloud.caller_claims(&["Hashes.Read"]);
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value),
    };
    claims
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[track_caller]
fn is_unauthorized(answer: &Answer, code: &str) {
    assert_eq!(answer.problem(401), code, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_token_of_our_tenant_with_the_role_is_let_in_in_both_versions() {
    let app = App::start_guarded(&[]).await;
    let good = app.cloud.caller_claims(&["Hashes.Read"]);
    assert_eq!(ask_as(&app, &good).await.json()["verdict"], "Malicious");
    let mut v1 = good.clone();
    v1["iss"] = json!(format!("https://sts.windows.net/{}/", sandbox::TENANT_ID));
    v1["aud"] = json!(format!("{}/", sandbox::API_AUDIENCE));
    v1["ver"] = json!("1.0");
    assert_eq!(
        ask_as(&app, &v1).await.status,
        200,
        "v1, with a trailing slash"
    );
    let mut user = good.clone();
    user["scp"] = json!("access_as_user");
    assert_eq!(
        ask_as(&app, &user).await.status,
        200,
        "a user with the role"
    );
    assert_eq!(
        ask(&app, &format!("bearer  {}", app.cloud.sign(&good)))
            .await
            .status,
        200
    );
    assert_eq!(app.cloud.login_calls().len(), 2, "metadata and keys, once");
}

#[tokio::test]
async fn the_gate_holds_for_wrapped_requests_and_before_the_body_is_read() {
    let app = App::start_guarded(&[]).await;
    let envelope =
        crate::support::wire::http_envelope("GET", &format!("/api/hashes/{MALWARE}"), &[], None);
    let completed = app.host.invoke("hash_lookup", &envelope).await.unwrap();
    let (status, body) = crate::support::wire::bind_http(completed.outputs.get("res")).unwrap();
    assert_eq!(status, 401, "{body}");
    is_unauthorized(&app.post("no JSON").await, "token_missing");
    assert_eq!(
        app.client()
            .get(app.host.url(""))
            .send()
            .await
            .unwrap()
            .status(),
        200,
        "the ping needs none"
    );
}

/// The response to a caller with only this principal header.
async fn ask_as_principal(app: &App, principal: &str) -> Answer {
    let headers = [
        ("x-ms-client-principal", principal),
        ("x-ms-client-principal-id", "x"),
        ("x-ms-token-aad-access-token", "x"),
    ];
    app.send(ClientRequest::get(&format!("/api/hashes/{MALWARE}")).with(&headers))
        .await
}

#[tokio::test]
async fn c12_headers_of_app_service_authentication_are_ignored() {
    let app = App::start_guarded(&[]).await;
    let principal =
        json!({ "auth_typ": "aad", "claims": [{ "typ": "roles", "val": "Hashes.Read" }] })
            .to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(principal);
    is_unauthorized(&ask_as_principal(&app, &encoded).await, "token_missing");
}

#[tokio::test]
async fn c13_a_malformed_or_huge_principal_harms_nothing() {
    let app = App::start_guarded(&[]).await;
    let huge = "A".repeat(30_000);
    for value in ["not base64 !", "e30=", huge.as_str()] {
        is_unauthorized(&ask_as_principal(&app, value).await, "token_missing");
    }
}

#[tokio::test]
async fn c14_only_rs256_with_a_key_of_the_tenant_counts() {
    let app = App::start_guarded(&[]).await;
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    let key = app.cloud.signing_key_id();
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    for header in [
        json!({ "typ": "JWT", "alg": "none", "kid": key }),
        json!({ "typ": "JWT", "alg": "HS256", "kid": key }),
        json!({ "typ": "JWT", "alg": "PS256", "kid": key }),
        json!({ "typ": "JWT", "alg": "RS256" }),
        json!({ "typ": "JWT", "alg": "RS256", "kid": "../../etc/passwd" }),
        json!({ "typ": "JWT", "alg": "RS256", "kid": "https://evil.example/keys" }),
        json!({ "typ": "JWT", "alg": "RS256", "kid": "other", "jku": "https://evil.example/keys", "x5u": "https://evil.example" }),
    ] {
        let signed = app.cloud.sign_with(&header, &claims);
        is_unauthorized(
            &ask(&app, &format!("Bearer {signed}")).await,
            "token_refused",
        );
        let unsigned = format!("Bearer {}.{}.", part(&header), part(&claims));
        is_unauthorized(&ask(&app, &unsigned).await, "token_refused");
    }
    let other = Sandbox::start(Tenant::default()).await.unwrap();
    other.signing_key_id();
    is_unauthorized(
        &ask(&app, &format!("Bearer {}", other.sign(&claims))).await,
        "token_refused",
    );
    let mut forged: Vec<String> = app
        .cloud
        .sign(&claims)
        .split('.')
        .map(str::to_owned)
        .collect();
    forged[1] = part(&json!({ "roles": ["Hashes.Read"], "exp": now() + 99 }));
    is_unauthorized(
        &ask(&app, &format!("Bearer {}", forged.join("."))).await,
        "token_refused",
    );
    assert!(
        app.cloud
            .login_calls()
            .iter()
            .all(|call| !call.target.contains("evil"))
    );
}

#[tokio::test]
async fn c15_claims_of_another_audience_tenant_issuer_or_time_are_refused() {
    let app = App::start_guarded(&[]).await;
    let other = "99999999-0d5e-4a8c-9a5e-3f6c1c6a9f10";
    let wrong = [
        ("aud", json!("api://other")),
        ("aud", json!(DEFENDER_AUDIENCE)),
        ("aud", json!([sandbox::API_AUDIENCE])),
        ("aud", Value::Null),
        ("tid", json!(other)),
        ("tid", Value::Null),
        ("iss", json!(format!("https://sts.windows.net/{other}/"))),
        (
            "iss",
            json!(format!(
                "https://login.microsoftonline.com/{}/v2.0",
                sandbox::TENANT_ID
            )),
        ),
        ("iss", Value::Null),
        ("exp", json!(now() - 3_600)),
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("nbf", json!(now() + 3_600)),
    ];
    for (name, value) in wrong {
        let answer = ask_as(&app, &but(&app, name, value.clone())).await;
        is_unauthorized(&answer, "token_refused");
    }
    assert_eq!(
        ask_as(&app, &but(&app, "exp", json!(now() - 60)))
            .await
            .status,
        200,
        "clocks differ a little"
    );
}

#[tokio::test]
async fn c15_a_caller_without_the_role_learns_which_one() {
    let app = App::start_guarded(&[]).await;
    for roles in [
        Value::Null,
        json!([]),
        json!(["Reports.Read"]),
        json!(["hashes.read"]),
    ] {
        let answer = ask_as(&app, &but(&app, "roles", roles)).await;
        assert_eq!(answer.problem(403), "missing_role");
        assert!(answer.text.contains("`Hashes.Read`"), "{answer:?}");
    }
    let mut scoped = but(&app, "roles", Value::Null);
    scoped["scp"] = json!("Hashes.Read");
    assert_eq!(
        ask_as(&app, &scoped).await.problem(403),
        "missing_role",
        "scopes are not roles"
    );
    assert_eq!(app.calls(), 0);
}

#[tokio::test]
async fn c15_requests_without_one_bearer_token_are_refused() {
    let app = App::start_guarded(&[]).await;
    let good = app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]));
    for (header, code) in [
        ("Basic eDp5", "token_missing"),
        ("Bearer", "token_missing"),
        ("Bearer x", "token_refused"),
        ("Bearer a.b.c", "token_refused"),
    ] {
        is_unauthorized(&ask(&app, header).await, code);
    }
    let bearer = format!("Bearer {good}");
    let two = [
        ("Authorization", bearer.as_str()),
        ("Authorization", bearer.as_str()),
    ];
    let answer = app
        .send(ClientRequest::get(&format!("/api/hashes/{MALWARE}")).with(&two))
        .await;
    is_unauthorized(&answer, "token_missing");
    is_unauthorized(
        &ask(&app, &format!("Bearer {}", "a".repeat(20_000))).await,
        "token_missing",
    );
}

#[tokio::test]
async fn c16_a_new_key_is_read_once_and_made_up_ids_do_not_make_us_ask() {
    let app = App::start_guarded(&[]).await;
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    assert_eq!(ask_as(&app, &claims).await.status, 200);
    let old = app.cloud.sign(&claims);
    app.cloud.rotate_keys();
    assert_eq!(
        ask_as(&app, &claims).await.status,
        200,
        "the new key is read"
    );
    assert_eq!(
        ask(&app, &format!("Bearer {old}")).await.status,
        200,
        "the old one is still published"
    );
    let calls = app.cloud.login_calls().len();
    assert_eq!(calls, 4);
    for number in 0..50 {
        let header = json!({ "alg": "RS256", "kid": format!("made-up-{number}") });
        let token = app.cloud.sign_with(&header, &claims);
        is_unauthorized(
            &ask(&app, &format!("Bearer {token}")).await,
            "token_refused",
        );
    }
    assert_eq!(app.cloud.login_calls().len(), calls);
}

#[tokio::test]
async fn c16_while_the_authority_is_down_known_keys_serve_and_new_callers_must_wait() {
    let app = App::start_guarded(&[]).await;
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    assert_eq!(ask_as(&app, &claims).await.status, 200);
    app.cloud.set_login_status(503);
    assert_eq!(ask_as(&app, &claims).await.status, 200);

    let cold = App::start_guarded(&[]).await;
    cold.cloud.set_login_status(503);
    let answer = ask_as(&cold, &cold.cloud.caller_claims(&["Hashes.Read"])).await;
    assert_eq!(answer.problem(503), "keys_unavailable");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn c16_keys_at_another_origin_than_the_metadata_are_not_read() {
    let app = App::start_guarded(&[]).await;
    let elsewhere = Sandbox::start(Tenant::default()).await.unwrap();
    app.cloud.set_keys_elsewhere(&elsewhere.login_url());
    let answer = ask_as(&app, &app.cloud.caller_claims(&["Hashes.Read"])).await;
    assert_eq!(answer.problem(503), "keys_unavailable");
    assert_eq!(elsewhere.login_calls().len(), 0);
}

#[tokio::test]
async fn c17_a_token_for_the_bot_or_for_defender_opens_nothing() {
    let app = App::start_guarded(&[]).await;
    let mut bot = app.cloud.caller_claims(&["Hashes.Read"]);
    bot["iss"] = json!("https://api.botframework.com");
    is_unauthorized(&ask_as(&app, &bot).await, "token_refused");
    let defender = app.cloud.token(DEFENDER_AUDIENCE);
    is_unauthorized(
        &ask(&app, &format!("Bearer {defender}")).await,
        "token_refused",
    );
}

#[tokio::test]
async fn in_azure_the_package_as_it_is_starts_with_entra() {
    let app = App::start_guarded(&[("WEBSITE_SITE_NAME", "app")]).await;
    is_unauthorized(&ask(&app, "").await, "token_missing");
    assert_eq!(
        ask_as(&app, &app.cloud.caller_claims(&["Hashes.Read"]))
            .await
            .status,
        200
    );
    tokio::time::timeout(
        Duration::from_secs(5),
        app.host
            .console_line(|line| line.text.contains("looked up")),
    )
    .await
    .unwrap();
}
