//! Hostile texts: logs, queries and answers.

use serde_json::{Value, json};

use crate::support::{
    App,
    app::{MALWARE, unknown_hash},
    host::ClientRequest,
};

#[tokio::test]
async fn d08_marks_that_turn_text_around_are_shown() {
    let app = App::start().await;
    let name = "\u{202e}gpj.exe\u{200b}";
    let file = sandbox::FileRecord::new(&unknown_hash(7), "Malware", Some(name)).signed(name, 1);
    app.cloud.add_file(file);
    for format in ["html", "markdown"] {
        let answer = app
            .send(ClientRequest::get(&format!(
                "/api/hashes/{}?format={format}",
                unknown_hash(7)
            )))
            .await;
        assert!(
            !answer.text.contains(['\u{202e}', '\u{200b}']) && answer.text.contains("202E"),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn d09_nothing_but_digits_reaches_a_hunting_query() {
    let app = App::start().await;
    for injected in ["x') | union DeviceInfo //.exe", "\" or 1==1", "\\"] {
        let answer = app.post_hashes(&[injected]).await.json();
        assert_eq!(answer["results"][0]["nextActions"], json!([]), "{injected}");
    }
    let kql = app.get_hash(MALWARE).await.json()["nextActions"][1]["kql"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        kql.starts_with("let hashes = dynamic([\"") && kql.contains(&format!("\"{MALWARE}\"")),
        "{kql}"
    );
}

#[tokio::test]
async fn d10_a_problem_holds_code_texts_and_the_invocation_and_nothing_else() {
    let app = App::start().await;
    app.cloud.add_fault(sandbox::Fault::status(400));
    let internal = app.cloud.defender_url();
    for answer in [
        app.get_hash(MALWARE).await,
        app.get_hash("zz").await,
        app.post("{").await,
    ] {
        let names: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            names,
            ["type", "title", "status", "code", "detail", "invocationId"]
        );
        assert!(
            !answer.text.contains(internal.trim_start_matches("http://"))
                && !answer.text.contains(".rs:")
        );
    }
}

#[tokio::test]
async fn d06_control_characters_of_a_caller_stay_inside_their_log_line() {
    let app = App::start().await;
    let long_id = "x".repeat(10_000);
    for id in ["a\tb", "\u{1b}", long_id.as_str()] {
        let headers = [
            ("X-Azure-Functions-InvocationId", id),
            ("Content-Type", "application/json"),
        ];
        let _ = app
            .client()
            .get(app.host.url("api/hashes/%0Azz"))
            .header(headers[0].0, headers[0].1)
            .send()
            .await;
    }
    app.host
        .console_line(|line| line.text.contains("hash_character"))
        .await;
    for line in app.host.console() {
        assert!(
            serde_json::from_str::<Value>(&line.text).is_ok_and(|line| line.is_object()),
            "{}",
            line.text
        );
        assert!(line.text.len() < 2_000 && !line.text.contains(['\u{1b}', '\t']));
    }
}

#[tokio::test]
async fn d07_nothing_secret_of_a_caller_reaches_a_log_or_an_answer() {
    let app = App::start().await;
    let headers = [
        ("Authorization", "Bearer SECRET.SECRET.SECRET"),
        ("x-functions-key", "SECRET"),
        ("Cookie", "a=SECRET"),
        ("x-ms-client-principal", "SECRET"),
        ("Content-Type", "application/json"),
    ];
    let mut answers = vec![
        app.send(ClientRequest::get(&format!("/api/hashes/{MALWARE}?code=SECRET")).with(&headers))
            .await,
        app.send(ClientRequest::get("/api/hashes/zz?sig=SECRET").with(&headers))
            .await,
        app.send(ClientRequest::get("/api/SECRET?sig=SECRET").with(&headers))
            .await,
        app.send(ClientRequest::post("/api/hashes", "{\"password\":\"SECRET\"}").with(&headers))
            .await,
    ];
    app.cloud.set_roles(&[]);
    answers.push(app.get_hash(&unknown_hash(1)).await);
    let envelope = json!({ "Data": { "req": { "Url": "SECRET", "Method": "GET", "Headers": { "x-functions-key": ["SECRET"] } } } });
    app.host.invoke("hash_lookup", &envelope).await.unwrap_err();
    app.host
        .console_line(|line| line.text.contains("envelope_input"))
        .await;
    for text in answers.iter().map(|answer| &answer.text) {
        assert!(!text.contains("SECRET") && !text.contains("eyJ"), "{text}");
    }
    // The console is checked when the host of any test ends.
    assert!(
        app.host
            .console()
            .iter()
            .all(|line| !line.text.contains("SECRET"))
    );
}
