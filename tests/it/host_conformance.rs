//! The Functions host's protocol, case by case (H1 to H30, X1 to X15).
//!
//! The ids are those of `tests/HOST.md`; cases that need a timer or a queue are in
//! `host_envelope.rs`.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    App, HttpMode, SimulatedHost,
    app::{CLEAN, MALWARE, run, unknown_hash, within},
    host::{
        AfterExit, ClientRequest, ClosedPort, CustomHandler, HostConfigurationError,
        build_and_get_uri, free_port,
    },
    package,
    wire::{self, Bound, InvocationFailure, bind_http},
};

fn host_json() -> Value {
    serde_json::from_slice(&std::fs::read(package::unpacked().join("host.json")).unwrap()).unwrap()
}

fn wrapped(target: &str) -> Value {
    wire::http_envelope("GET", target, &[], None)
}

/// Envelopes of every kind that a caller could send, good and bad.
fn many_envelopes() -> Vec<Value> {
    vec![
        wrapped(&format!("/api/hashes/{MALWARE}")),
        wrapped("/api/hashes/zz"),
        wrapped("/api/hashes"),
        wrapped("/api/nothing"),
        wire::http_envelope("DELETE", "/api/hashes", &[], None),
        wire::http_envelope(
            "POST",
            "/api/hashes",
            &[],
            Some(&json!([CLEAN]).to_string()),
        ),
        wire::http_envelope("POST", "/api/hashes", &[], None),
        json!({}),
        json!({ "Data": {} }),
        json!({ "Data": { "req": "text" }, "Metadata": null }),
        json!([1]),
        json!(null),
    ]
}

#[tokio::test]
async fn h01_an_invocation_is_posted_to_the_functions_name_with_one_id() {
    let app = App::start().await;
    let reply = app
        .host
        .post_envelope("hash_lookup", &wrapped("/api/hashes/zz"))
        .await
        .unwrap();
    let (status, body) = bind_http(reply.read().unwrap().outputs.get("res")).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["invocationId"], reply.invocation_id.as_str());
}

#[test]
fn h02_metadata_scalars_are_json_in_a_string_and_dates_are_dates() {
    assert_eq!(wire::convert(&Bound::Other(json!(4))), "4");
    assert_eq!(
        wire::convert(&Bound::Other(json!("helloMetadata"))),
        "\"helloMetadata\""
    );
    assert_eq!(
        wire::convert(&Bound::Date("2026-11-23T10:00:00Z")),
        "2026-11-23T10:00:00Z"
    );
    assert_eq!(wire::convert(&Bound::Bytes(vec![1, 2, 3])), "AQID");
}

#[test]
fn h03_data_texts_are_double_encoded_and_objects_stay_objects() {
    assert_eq!(
        wire::convert(&Bound::Other(json!("HelloWorld"))),
        "\"HelloWorld\""
    );
    assert_eq!(
        wire::convert(&Bound::Object(json!({ "a": 1 }))),
        json!({ "a": 1 })
    );
}

#[tokio::test]
async fn h04_an_http_function_without_forwarding_answers_through_its_output() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped(&format!("/api/hashes/{MALWARE}")))
        .await
        .unwrap();
    let (status, body) = bind_http(completed.outputs.get("res")).unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("Malicious"));
}

#[tokio::test]
async fn h05_a_forwarded_request_keeps_path_query_headers_and_body() {
    let app = App::start().await;
    let headers = [
        ("Accept", "application/json"),
        ("Accept-Charset", "utf-8"),
        ("Content-Type", "application/json"),
    ];
    let list = json!({ "hashes": [MALWARE] }).to_string();
    let request = ClientRequest {
        method: "POST",
        target: "/api/hashes?code=Ink%20And%20Toner",
        headers: &headers,
        body: Some(&list),
    };
    let (status, body) = app.host.http(HttpMode::Forwarding, request).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"malicious\":1"));
    let misspelled = ClientRequest {
        target: "/api/hashes?cod=x",
        ..request
    };
    let (status, body) = app.host.http(HttpMode::Forwarding, misspelled).await;
    assert!(
        status == 400 && body.contains("unknown_parameter"),
        "the query arrives: {body}"
    );
    let (status, body) = app
        .host
        .http(
            HttpMode::Forwarding,
            ClientRequest {
                headers: &headers[..2],
                ..request
            },
        )
        .await;
    assert_eq!(status, 200, "without a content type it is JSON: {body}");
}

#[test]
fn h06_the_handlers_address_is_ipv4_loopback_and_its_port() {
    assert_eq!(build_and_get_uri(7071, ""), "http://127.0.0.1:7071/");
    assert_eq!(build_and_get_uri(7071, "x"), "http://127.0.0.1:7071/x");
}

#[tokio::test]
async fn h07_a_forwarded_failure_is_a_completed_invocation_with_its_status_and_body() {
    let app = App::start_with(&[("LOOKUP_DEADLINE_SECONDS", "1")]).await;
    app.cloud.add_fault(sandbox::Fault::status(500));
    let target = format!("/api/hashes/{MALWARE}");
    for mode in [HttpMode::Forwarding, HttpMode::Proxying] {
        let (status, body) = app.host.http(mode, ClientRequest::get(&target)).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("upstream_unavailable"));
    }
}

#[tokio::test]
async fn h08_a_proxy_replaces_the_clients_host_headers_and_waits_for_a_restart() {
    let mut app = App::start().await;
    let forged = [
        ("X-Azure-Functions-InvocationId", "forged"),
        ("X-Azure-Functions-HostVersion", "0"),
    ];
    let answer = app
        .send(ClientRequest::get("/api/hashes/zz").with(&forged))
        .await;
    assert_ne!(answer.json()["invocationId"], "forged");

    app.host.kill();
    assert_eq!(app.host.after_exit().await, AfterExit::Restarted);
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
}

#[tokio::test]
async fn h09_a_result_has_outputs_logs_and_a_return_value() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped("/api/hashes/zz"))
        .await
        .unwrap();
    assert_eq!(
        (
            completed.outputs.len(),
            completed.logs.len(),
            completed.return_value
        ),
        (1, 0, Value::Null)
    );
}

/// The reply to every envelope that a caller could send.
async fn every_reply() -> Vec<crate::support::host::RawReply> {
    let app = App::start().await;
    let mut replies = Vec::new();
    for envelope in many_envelopes() {
        replies.push(
            app.host
                .post_envelope("hash_lookup", &envelope)
                .await
                .unwrap(),
        );
    }
    replies
}

#[tokio::test]
async fn h13_every_successful_reply_is_a_json_object() {
    let successful: Vec<_> = every_reply()
        .await
        .into_iter()
        .filter(|reply| reply.status == 200)
        .collect();
    assert_eq!(successful.len(), 7);
    for reply in successful {
        assert!(
            serde_json::from_slice::<Value>(&reply.body)
                .unwrap()
                .is_object()
        );
    }
}

#[tokio::test]
async fn h14_every_successful_reply_says_that_it_is_json() {
    for reply in every_reply()
        .await
        .into_iter()
        .filter(|reply| reply.status == 200)
    {
        assert_eq!(reply.content_type.as_deref(), Some("application/json"));
    }
}

#[tokio::test]
async fn x02_no_reply_is_empty_or_a_204() {
    for reply in every_reply().await {
        assert!(reply.status != 204 && !reply.body.is_empty(), "{reply:?}");
        assert_ne!(reply.read(), Err(InvocationFailure::Hangs));
    }
}

#[tokio::test]
async fn x03_no_reply_is_null() {
    for reply in every_reply().await {
        assert_ne!(
            serde_json::from_slice::<Value>(&reply.body).unwrap(),
            Value::Null
        );
    }
}

#[tokio::test]
async fn h15_a_refused_envelope_fails_the_invocation_and_the_log_says_why() {
    let app = App::start().await;
    let failure = app
        .host
        .invoke("hash_lookup", &json!({ "Metadata": {} }))
        .await;
    assert_eq!(
        failure,
        Err(InvocationFailure::HttpRequest("status 400".to_owned()))
    );
    let line = app.host.console_line(|line| line.level == "Error").await;
    assert!(
        line.text.contains("envelope_invalid") && line.text.contains("hash_lookup"),
        "{}",
        line.text
    );
}

#[tokio::test]
async fn b13_another_content_type_or_function_is_refused_and_the_log_says_why() {
    let app = App::start().await;
    let text = app
        .client()
        .post(app.host.url("hash_lookup"))
        .header("Content-Type", "text/plain")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(text.status(), 400);
    app.host
        .console_line(|line| line.level == "Error" && line.text.contains("envelope_content_type"))
        .await;
    let unknown = app
        .host
        .post_envelope("no_such_function", &wrapped("/api/hashes"))
        .await
        .unwrap();
    assert_eq!(
        unknown.read(),
        Err(InvocationFailure::HttpRequest("status 404".to_owned()))
    );
    app.host
        .console_line(|line| {
            line.level == "Error" && line.text.contains("envelope_unknown_function")
        })
        .await;
}

#[tokio::test]
async fn a_wrapped_binary_body_is_decoded() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let app = App::start().await;
    let body = STANDARD.encode(json!([MALWARE]).to_string());
    let envelope = wire::http_envelope(
        "POST",
        "/api/hashes",
        &[("Content-Type", "application/octet-stream")],
        Some(&body),
    );
    let completed = app.host.invoke("hash_lookup", &envelope).await.unwrap();
    assert!(
        bind_http(completed.outputs.get("res"))
            .unwrap()
            .1
            .contains("\"malicious\":1")
    );
}

#[tokio::test]
async fn h16_no_log_line_of_the_host_comes_from_an_ordinary_invocation() {
    let app = App::start().await;
    let completed = app
        .host
        .invoke("hash_lookup", &wrapped(&format!("/api/hashes/{CLEAN}")))
        .await
        .unwrap();
    assert_eq!(completed.logs, Vec::<String>::new());
    assert_eq!(app.host.complaints(), []);
}

#[tokio::test]
async fn h17_the_http_output_has_a_status_code_single_headers_and_a_text() {
    let app = App::start().await;
    for envelope in many_envelopes().iter().take(7) {
        let completed = app.host.invoke("hash_lookup", envelope).await.unwrap();
        let output = &completed.outputs["res"];
        assert!(
            output.get("status").is_none()
                && output["statusCode"].is_string()
                && output["body"].is_string()
        );
        assert!(
            output["headers"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string),
            "{output}"
        );
        bind_http(Some(output)).unwrap();
    }
}

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
async fn x01_a_chunked_body_without_a_length_is_read() {
    let app = App::start().await;
    let list = json!({ "hashes": [MALWARE] }).to_string();
    let envelope = wire::http_envelope(
        "POST",
        "/api/hashes",
        &[("Content-Type", "application/json")],
        Some(&list),
    );
    let completed = app.host.invoke("hash_lookup", &envelope).await.unwrap();
    assert!(
        bind_http(completed.outputs.get("res"))
            .unwrap()
            .1
            .contains("\"malicious\":1")
    );

    let chunks = list
        .into_bytes()
        .chunks(7)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let answer = app
        .client()
        .post(app.host.url("api/hashes"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap().contains("\"malicious\":1"));
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

#[tokio::test]
async fn x12_of_two_invocation_ids_the_hosts_one_counts() {
    let app = App::start().await;
    let forged = [("X-Azure-Functions-InvocationId", "forged-by-the-client")];
    let request = ClientRequest::get("/api/hashes/zz").with(&forged);
    let response = app.host.forward(HttpMode::Forwarding, request).await;
    let id = response.json::<Value>().await.unwrap()["invocationId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(id != "forged-by-the-client" && id.len() == 36, "{id}");
}

#[tokio::test]
async fn x14_names_and_paths_are_matched_without_regard_to_case() {
    let app = App::start().await;
    let answer = app
        .send(ClientRequest::get(&format!(
            "/API/Hashes/{}",
            MALWARE.to_uppercase()
        )))
        .await;
    assert_eq!(answer.json()["hash"], MALWARE);
    let envelope = wrapped(&format!("/API/HASHES/{MALWARE}"));
    let completed = app.host.invoke("Hash_Lookup", &envelope).await.unwrap();
    assert_eq!(bind_http(completed.outputs.get("res")).unwrap().0, 200);
}

#[tokio::test]
async fn x15_a_caller_cannot_forge_a_log_line() {
    let app = App::start().await;
    for forged in [
        "a%0ALanguageWorkerConsoleLog%20x",
        "azfuncjsonlog%3A%0D%0A%7B%7D",
        "%1B%5B31m",
    ] {
        assert_eq!(app.get_hash(forged).await.status, 400);
    }
    app.host
        .invoke(
            "hash_lookup",
            &json!({ "Data": { "req": { "Url": "\nazfuncjsonlog:", "Method": "GET" } } }),
        )
        .await
        .unwrap_err();
    app.host.console_line(|line| line.level == "Error").await;
    for line in app.host.console() {
        let object: Value = serde_json::from_str(&line.text)
            .unwrap_or_else(|_| panic!("not one JSON object: {}", line.text));
        for name in ["level", "message", "code"] {
            assert!(object[name].is_string(), "{name} in {}", line.text);
        }
        let started = object["code"] == "serving";
        assert!(
            started || (object["function"].is_string() && object["invocationId"].is_string()),
            "{}",
            line.text
        );
    }
}
