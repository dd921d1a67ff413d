//! Every payload that a playbook or an analyst can send to `POST /api/hashes`.

use sandbox::{Fault, Sandbox, Tenant};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{Answer, MALWARE, PUA, unknown_hash},
    host::ClientRequest,
    package::repository,
    tools,
};

const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";

const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";

const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

fn recorded(path: &str) -> String {
    std::fs::read_to_string(repository().join("tests/data").join(path)).unwrap()
}

async fn post_text(app: &App, content_type: &str, text: &str) -> Answer {
    let headers = [("Content-Type", content_type)];
    app.send(ClientRequest {
        method: "POST",
        target: "/api/hashes",
        headers: &headers,
        body: Some(text),
    })
    .await
}

/// The answered hashes, sorted.
fn hashes(answer: &Value) -> Vec<String> {
    let results = answer["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    let mut hashes: Vec<String> = results
        .iter()
        .map(|result| result["hash"].as_str().unwrap().to_owned())
        .collect();
    hashes.sort();
    hashes
}

#[tokio::test]
async fn every_payload_of_one_incident_asks_about_the_same_file_once() {
    let app = App::start().await;
    let incident: Value = serde_json::from_str(&recorded("sentinel/incident.json")).unwrap();
    let bodies = [
        recorded("sentinel/incident.json"),
        recorded("sentinel/alert.json"),
        recorded("sentinel/get-filehashes.json"),
        recorded("stat/base-module-body.json"),
        incident["object"]["properties"]["relatedEntities"].to_string(),
        json!({ "hashes": [SHA1, SHA256] }).to_string(),
        json!([SHA1, SHA256]).to_string(),
    ];
    for body in &bodies {
        let answer = app.post(body).await.json();
        assert_eq!(hashes(&answer), [SHA256, SHA1], "{body}");
        assert_eq!(
            (
                &answer["summary"]["suspicious"],
                &answer["summary"]["worst"]
            ),
            (&json!(2), &json!("Suspicious"))
        );
    }
    assert_eq!(app.calls(), 1, "SHA-1 and SHA-256 of one file, seven times");
}

#[tokio::test]
async fn an_advisory_is_read_as_it_is_pasted() {
    let app = App::start().await;
    let advisory = format!(
        "<p>Block hxxps://evil[.]example and</p><table><tr><td>ss2.stubbin</td><td>SHA256:{}</td></tr></table>\u{a0}MD5{MD5}\u{200b} {SHA256}0",
        SHA256.to_uppercase()
    );
    for content_type in ["text/plain; charset=utf-8", "text/html", "TEXT/markdown"] {
        let answer = post_text(&app, content_type, &advisory).await.json();
        assert_eq!(hashes(&answer), [SHA256, MD5]);
        assert_eq!(
            (
                &answer["summary"]["suspicious"],
                &answer["summary"]["invalid"]
            ),
            (&json!(1), &json!(1))
        );
    }
    let none = post_text(&app, "text/plain", "nothing to see").await;
    assert_eq!((none.status, &none.json()["results"]), (200, &json!([])));
    assert_eq!(
        post_text(&app, "text/plain", " ").await.problem(400),
        "empty_body"
    );
}

#[tokio::test]
async fn stat_s05_unknown_hashes_and_md5_have_a_row_each() {
    let app = App::start().await;
    let answer = app
        .post_hashes(&[MD5, SHA256, &"0".repeat(40)])
        .await
        .json();
    let statuses: Vec<&Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["status"])
        .collect();
    assert_eq!(statuses, ["invalid", "ok", "ok"]);
}

#[tokio::test]
async fn stat_s01_s04_every_sha1_is_asked_and_repeats_cost_nothing() {
    let app = App::start().await;
    let hashes: Vec<String> = (0..100).map(|number| format!("{number:040x}")).collect();
    let list: Vec<&str> = hashes.iter().chain(&hashes).map(String::as_str).collect();
    let answer = app.post_hashes(&list).await.json();
    assert_eq!(
        (&answer["summary"]["total"], &answer["summary"]["unknown"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(app.calls(), 100);
}

#[tokio::test]
async fn stat_s02_concurrent_incidents_keep_their_own_hashes() {
    let app = App::start_with(&[
        ("DEFENDER_CALLS_PER_MINUTE", "10000"),
        ("DEFENDER_CALLS_PER_HOUR", "100000"),
    ])
    .await;
    app.cloud.set_limits(100_000, 100_000);
    let incident = |number: usize| {
        let entity = |index: usize| json!({ "kind": "FileHash", "properties": { "hashValue": format!("{:064x}", number * 100 + index), "algorithm": "SHA256" } });
        json!({ "object": { "id": number.to_string(), "properties": { "relatedEntities": (0..10).map(entity).collect::<Vec<_>>() } } })
    };
    let bodies: Vec<String> = (0..20).map(|number| incident(number).to_string()).collect();
    let answers = futures::future::join_all(bodies.iter().map(|body| app.post(body))).await;
    for (number, answer) in answers.iter().enumerate() {
        let expected: Vec<String> = (0..10)
            .map(|index| format!("{:064x}", number * 100 + index))
            .collect();
        assert_eq!(hashes(&answer.json()), expected);
    }
}

#[tokio::test]
async fn stat_s03_every_call_of_defender_carries_a_token_for_it() {
    let app = App::start_guarded(&[]).await;
    let token = format!(
        "Bearer {}",
        app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]))
    );
    let headers = [("Authorization", token.as_str())];
    let targets: Vec<String> = (0..60)
        .map(|number| format!("/api/hashes/{number:064x}"))
        .collect();
    let answers = futures::future::join_all(
        targets
            .iter()
            .map(|target| app.send(ClientRequest::get(target).with(&headers))),
    )
    .await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "the sandbox refuses a token for another audience"
    );
    assert!(
        app.cloud
            .defender_calls()
            .iter()
            .all(|call| call.status == 404)
    );
}

#[tokio::test]
async fn stat_s06_null_and_missing_fields_of_an_entity_are_tolerated() {
    let app = App::start().await;
    let entities = json!([
        { "kind": "FileHash", "properties": { "hashValue": SHA1 } },
        { "kind": "filehash", "properties": { "hashValue": null, "algorithm": null } },
        { "kind": "FileHash" },
        { "kind": "Host", "properties": { "hostName": "x" } },
        { "kind": null, "properties": null },
    ]);
    let body = json!({ "object": { "properties": { "relatedEntities": entities } } }).to_string();
    let answer = app.post(&body).await.json();
    assert_eq!(
        (
            &answer["summary"]["suspicious"],
            &answer["summary"]["invalid"]
        ),
        (&json!(1), &json!(1)),
        "{answer}"
    );
}

#[tokio::test]
async fn stat_s07_s12_one_throttled_hash_delays_no_one_past_the_deadline() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "3")]).await;
    app.post_hashes(&[SHA256]).await;
    app.cloud.add_fault(
        sandbox::Fault::status(429)
            .header("retry-after", "90")
            .on(&"0".repeat(40)),
    );
    let asked = std::time::Instant::now();
    let answer = app.post_hashes(&[&"0".repeat(40), SHA256]).await.json();
    assert!(asked.elapsed().as_secs() < 4);
    let statuses: Vec<&Value> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["status"])
        .collect();
    assert_eq!(statuses, ["throttled", "ok"]);
}

#[tokio::test]
async fn stat_s11_a_file_joins_its_hashes_and_its_md5_hides_nothing() {
    let app = App::start().await;
    let clean = crate::support::app::CLEAN;
    let id = |number: usize| format!("/subscriptions/x/Entities/{number}");
    let body = json!({ "object": { "properties": { "relatedEntities": [
        { "id": id(1), "kind": "File", "properties": { "fileName": "a.exe", "fileHashEntityIds": [id(2), id(3)] } },
        { "id": id(2), "kind": "FileHash", "properties": { "hashValue": clean, "algorithm": "SHA256" } },
        { "id": id(3), "kind": "FileHash", "properties": { "hashValue": MD5, "algorithm": "MD5" } },
    ] } } });
    let answer = app.post(&body.to_string()).await.json();
    assert_eq!(
        (&answer["summary"]["invalid"], &answer["summary"]["worst"]),
        (&json!(1), &json!("Clean")),
        "{answer}"
    );
    let unjoined = app.post_hashes(&[clean, MD5]).await.json();
    assert_eq!(unjoined["summary"]["worst"], Value::Null);
}

#[tokio::test]
async fn stat_s08_a_name_that_would_break_out_of_a_query_never_reaches_one() {
    let app = App::start().await;
    let name = "x') | union DeviceInfo //.exe";
    let entities = json!([
        { "$id": "1", "kind": "File", "properties": { "fileName": name, "fileHashes": [{ "$ref": "2" }] } },
        { "$id": "2", "kind": "FileHash", "properties": { "hashValue": SHA256, "algorithm": "SHA256" } },
        { "$id": "3", "kind": "FileHash", "properties": { "hashValue": name, "algorithm": "SHA256" } },
    ]);
    let body = json!({ "object": { "properties": { "relatedEntities": entities } } }).to_string();
    let answer = app.post(&body).await.json();
    let queries: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|result| result["nextActions"].as_array().unwrap())
        .filter_map(|next| next["kql"].as_str())
        .collect();
    assert!(!queries.is_empty() && queries.iter().all(|query| query.contains(SHA256)));
    assert!(
        queries.iter().all(|query| !query.contains("DeviceInfo")),
        "{queries:?}"
    );
}

#[tokio::test]
async fn stat_s09_what_an_attacker_wrote_is_text_in_a_comment() {
    let app = App::start().await;
    let markup = "<img src=x onerror=alert(1)>";
    let hash = unknown_hash(9);
    app.cloud
        .add_file(sandbox::FileRecord::new(&hash, "Malware", Some(markup)).signed(markup, 3));
    let body = json!([hash, markup]).to_string();
    for format in ["html", "markdown"] {
        let target = format!("/api/hashes?format={format}");
        let comment = app.send(ClientRequest::post(&target, &body)).await.text;
        assert!(
            comment.contains("Malicious") && !comment.contains("<img"),
            "{comment}"
        );
        assert!(comment.contains("onerror"), "shown as text: {comment}");
    }
}

#[tokio::test]
async fn stat_s10_an_incident_makes_no_call_outside_the_configured_hosts() {
    // Calls to anything outside loopback would go to this proxy.
    let elsewhere = Sandbox::start(Tenant::default()).await.unwrap();
    let proxy = elsewhere.defender_url();
    let settings = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ]
    .map(|name| (name, proxy.as_str()));
    let loopback = [("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")];
    let app = App::start_guarded(&[&settings[..], &loopback[..]].concat()).await;
    let token = format!(
        "Bearer {}",
        app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]))
    );
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
    ];
    let incident = include_str!("../data/sentinel/incident.json");
    let target = "/api/hashes?include=stats,alerts,devices,indicators&format=html";
    let request = ClientRequest::post(target, incident).with(&headers);
    assert_eq!(app.send(request).await.status, 200);
    assert!(app.calls() > 0 && !app.cloud.login_calls().is_empty());
    assert_eq!(elsewhere.defender_calls().len(), 0);
}

async fn html(app: &App, body: &Value) -> String {
    let body = body.to_string();
    let request = ClientRequest::post("/api/hashes?format=html", &body);
    app.send(request).await.text
}

#[tokio::test]
async fn field_h08_an_incident_without_hashes_says_that_nothing_was_checked() {
    let app = App::start().await;
    let incident = json!({ "object": { "properties": { "relatedEntities": [
        { "kind": "File", "properties": { "fileName": "invoice.js" } },
        { "kind": "Account", "properties": { "accountName": "a" } },
    ] } } });
    let comment = html(&app, &incident).await;
    let lead = "<p><b>This incident has no SHA-1 or SHA-256; nothing was checked.</b>";
    assert!(comment.starts_with(lead), "{comment}");
    assert!(comment.contains("invoice.js"), "{comment}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_h09_a_comment_fits_the_pane_of_an_incident() {
    let app = App::start().await;
    let name = format!("{}.exe", "invoice_2026_".repeat(30));
    let file = |hash: &str| json!({ "Type": "file", "Name": name, "FileHashes": [{ "Algorithm": "SHA256", "Value": hash }] });
    let entities = [MALWARE, &unknown_hash(3), "zz", PUA].map(file);
    let comment = html(&app, &json!({ "Entities": entities })).await;
    assert!(comment.contains("invoice_2026_"), "{comment}");
    let folder = repository().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("comment.html");
    std::fs::write(&page, &comment).unwrap();
    let mut node = std::process::Command::new("node");
    node.arg(tools::node_folder("browser").join("comment.js"))
        .arg(page)
        .arg(folder.join("comment.png"));
    let run = move || serde_json::from_slice(&tools::run(&mut node).stdout).expect("JSON");
    let seen: Value = tokio::task::spawn_blocking(run).await.expect("no panic");
    assert_eq!(
        seen["bold"],
        "1 of 4 files is malicious, 1 suspicious, 1 NOT checked."
    );
}

#[tokio::test]
async fn field_h10_a_fresh_file_of_an_alert_is_asked_for_once_more() {
    let app = App::start().await;
    let entity =
        json!({ "Entities": [{ "Type": "filehash", "Algorithm": "SHA256", "Value": MALWARE }] });
    app.cloud.add_fault(Fault::status(404).on(MALWARE).times(1));
    let comment = html(&app, &entity).await;
    assert!(comment.contains("<b>Malicious</b>"), "{comment}");
    assert_eq!(app.calls(), 2);
    // A remembered 404 does not count for an alert; a list waits for nothing.
    let other = unknown_hash(5);
    let list = json!([other]);
    for (body, more) in [(&list, 1), (&list, 0)] {
        let before = app.calls();
        assert!(
            html(&app, body)
                .await
                .contains("no record of a file with this hash yet")
        );
        assert_eq!(app.calls() - before, more);
    }
    let before = app.calls();
    let entity =
        json!({ "Entities": [{ "Type": "filehash", "Algorithm": "SHA256", "Value": other }] });
    assert!(html(&app, &entity).await.contains("no record"));
    assert_eq!(app.calls() - before, 2);
}
