//! The tenant's data about a file, in addition to the verdict.

use serde_json::{Value, json};

use crate::support::{
    App,
    app::{Answer, CLEAN, MALWARE, PUA_SHA1, unknown_hash},
    host::ClientRequest,
};

async fn get(app: &App, hash: &str, include: &str) -> Answer {
    app.send(ClientRequest::get(&format!(
        "/api/hashes/{hash}?include={include}"
    )))
    .await
}

fn targets(app: &App) -> Vec<String> {
    app.cloud
        .defender_calls()
        .into_iter()
        .map(|call| call.target)
        .collect()
}

#[tokio::test]
async fn api_f08_evidence_of_a_sha256_is_asked_for_by_its_sha1() {
    let app = App::start().await;
    let answer = get(&app, MALWARE, "stats,alerts,devices").await.json();
    assert_eq!(
        (
            &answer["stats"]["organizationPrevalence"],
            &answer["stats"]["error"]
        ),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        (
            &answer["alerts"]["count"],
            &answer["alerts"]["items"][0]["severity"]
        ),
        (&json!(2), &json!("High"))
    );
    assert_eq!(answer["devices"]["count"], 2);
    let sha1 = &MALWARE[..40];
    let mut below = targets(&app).split_off(1);
    below.sort();
    assert_eq!(
        below,
        ["alerts", "machines", "stats"].map(|part| format!("/api/files/{sha1}/{part}"))
    );
    let actions: Vec<&Value> = answer["nextActions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|next| &next["action"])
        .collect();
    assert_eq!(
        actions,
        [
            "create_indicator",
            "hunt",
            "review_alerts",
            "isolate_or_scan_devices",
            "open_file_page"
        ]
    );
}

#[tokio::test]
async fn evidence_is_null_unless_asked_for_and_never_changes_the_verdict() {
    let app = App::start().await;
    for (hash, verdict) in [
        (MALWARE, "Malicious"),
        (CLEAN, "Clean"),
        (PUA_SHA1, "Suspicious"),
    ] {
        let bare = app.get_hash(hash).await.json();
        assert_eq!(
            (&bare["stats"], &bare["alerts"], &bare["devices"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        let more = get(&app, hash, "stats,alerts,devices").await.json();
        assert_eq!(
            (&bare["verdict"], &more["verdict"]),
            (&json!(verdict), &json!(verdict))
        );
        assert_eq!(bare["reasons"], more["reasons"]);
    }
}

#[tokio::test]
async fn api_f09_an_empty_set_is_zero_and_a_file_without_sha1_says_so() {
    let app = App::start().await;
    let clean = get(&app, CLEAN, "alerts,devices").await.json();
    assert_eq!(
        (&clean["alerts"]["count"], &clean["alerts"]["error"]),
        (&json!(0), &Value::Null)
    );
    let unseen = get(&app, &"0".repeat(40), "stats,alerts").await.json();
    assert_eq!(
        (
            &unseen["stats"]["organizationPrevalence"],
            &unseen["alerts"]["count"]
        ),
        (&json!(0), &json!(0))
    );
    let by_sha256 = get(&app, &unknown_hash(1), "alerts").await.json();
    assert_eq!(
        (&by_sha256["verdict"], &by_sha256["alerts"]["error"]["code"]),
        (&json!("Unknown"), &json!("sha1_unknown"))
    );
}

#[tokio::test]
async fn each_source_reports_its_own_failure() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "3")]).await;
    app.cloud.set_roles(&["File.Read.All", "Machine.Read.All"]);
    app.cloud.add_fault(
        sandbox::Fault::status(429)
            .header("retry-after", "60")
            .on("/stats"),
    );
    let answer = get(&app, MALWARE, "stats,alerts,devices").await.json();
    assert_eq!(
        (&answer["status"], &answer["verdict"]),
        (&json!("ok"), &json!("Malicious"))
    );
    assert_eq!(answer["stats"]["error"]["code"], "upstream_throttled");
    assert_eq!(answer["alerts"]["error"]["code"], "missing_permission");
    assert!(
        answer["alerts"]["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("`Alert.Read.All`")
    );
    assert_eq!(
        (&answer["devices"]["count"], &answer["devices"]["error"]),
        (&json!(2), &Value::Null)
    );
}

#[tokio::test]
async fn names_of_devices_are_for_callers_with_the_role() {
    let app = App::start_guarded(&[]).await;
    for (roles, named) in [
        (vec!["Hashes.Read"], false),
        (vec!["Hashes.Read", "Devices.Read"], true),
    ] {
        let token = format!(
            "Bearer {}",
            app.cloud.sign(&app.cloud.caller_claims(&roles))
        );
        let headers = [("Authorization", token.as_str())];
        let target = format!("/api/hashes/{MALWARE}?include=devices");
        let answer = app.send(ClientRequest::get(&target).with(&headers)).await;
        assert_eq!(answer.json()["devices"]["count"], 2);
        assert_eq!(answer.text.contains("pool-017"), named, "{roles:?}");
    }
    let open = App::start().await;
    let answer = get(&open, MALWARE, "devices").await;
    assert!(
        answer.json()["devices"]["items"].is_null() && !answer.text.contains("pool-017"),
        "without callers there are no roles"
    );
}

#[tokio::test]
async fn a_list_asks_for_the_evidence_of_each_file_once() {
    let app = App::start().await;
    let list = json!([MALWARE, MALWARE.to_uppercase(), CLEAN, "zz"]).to_string();
    let answer = app
        .send(ClientRequest::post("/api/hashes?include=alerts", &list))
        .await
        .json();
    let counts: Vec<&Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["alerts"]["count"])
        .collect();
    assert_eq!(counts, [&json!(2), &json!(2), &json!(0), &Value::Null]);
    assert_eq!(
        targets(&app)
            .iter()
            .filter(|target| target.ends_with("/alerts"))
            .count(),
        2
    );
}

#[tokio::test]
async fn the_tenants_own_indicators_are_evidence_under_either_hash() {
    let app = App::start().await;
    app.cloud.set_roles(&["File.Read.All", "Ti.ReadWrite.All"]);
    app.cloud
        .add_indicator(sandbox::indicator(&MALWARE[..40], "Allowed"));
    let answer = get(&app, MALWARE, "indicators").await.json();
    let indicators = &answer["indicators"];
    assert_eq!(
        (
            &indicators["count"],
            &indicators["ownOnly"],
            &indicators["error"]
        ),
        (&json!(1), &json!(false), &Value::Null)
    );
    assert_eq!(indicators["items"][0]["action"], "Allowed");
    let first = &answer["nextActions"][0];
    assert_eq!(first["action"], "review_indicator");
    assert!(
        first["reason"]
            .as_str()
            .unwrap()
            .contains("allows the file")
    );
    assert_eq!(answer["verdict"], "Malicious");

    // A file that Microsoft has never seen has no SHA-1, and may have an Indicator.
    app.cloud
        .add_indicator(sandbox::indicator(&unknown_hash(7), "Block"));
    let unseen = get(&app, &unknown_hash(7), "stats,indicators").await.json();
    assert_eq!(unseen["indicators"]["items"][0]["action"], "Block");
    assert_eq!(unseen["stats"]["error"]["code"], "sha1_unknown");
}

#[tokio::test]
async fn an_identity_that_sees_only_its_own_indicators_says_so() {
    let app = App::start().await;
    app.cloud.set_roles(&["File.Read.All", "Ti.ReadWrite"]);
    let hash = "427091e1888c2bf1f2e11a1010b3ab6c8634eda4ddc34d37202d401fbaa8989d";
    let own = get(&app, hash, "indicators").await.json();
    assert_eq!(
        (&own["indicators"]["count"], &own["indicators"]["ownOnly"]),
        (&json!(0), &json!(true))
    );
    let app = App::start().await;
    let none = get(&app, hash, "indicators").await.json();
    assert_eq!(none["indicators"]["error"]["code"], "missing_permission");
    let detail = none["indicators"]["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("`Ti.ReadWrite.All`"), "{detail}");
}

#[tokio::test]
async fn an_answer_that_was_not_filtered_is_not_evidence() {
    let app = App::start().await;
    app.cloud.set_roles(&["File.Read.All", "Ti.ReadWrite.All"]);
    let other = json!({ "value": [sandbox::indicator(CLEAN, "Block")] });
    app.cloud
        .add_fault(sandbox::Fault::json(&other.to_string()).on("/indicators"));
    let answer = get(&app, MALWARE, "indicators").await.json();
    assert_eq!(answer["indicators"]["error"]["code"], "upstream_protocol");
    assert!(answer["indicators"]["count"].is_null());
}

#[tokio::test]
async fn a_comment_lists_the_evidence_and_the_source_that_was_not_read() {
    let app = App::start().await;
    let body = json!([MALWARE]).to_string();
    let target = "/api/hashes?format=markdown&include=alerts,devices,indicators";
    let comment = app.send(ClientRequest::post(target, &body)).await.text;
    assert!(
        comment.contains("In your tenant: 2 devices, 2 alerts"),
        "{comment}"
    );
    assert!(comment.contains("NOT read: indicators"), "{comment}");
}
