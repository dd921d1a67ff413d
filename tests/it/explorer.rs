//! The explorer page in headless Chromium, and the descriptions of the API.

use std::{fs, path::PathBuf, process::Command};

use handler::functions::{FUNCTIONS, Trigger};
use serde_json::{Value, json};

use crate::support::{
    App,
    app::{MALWARE, PUA_SHA1},
    host::ClientRequest,
    package::repository,
    tools,
};

/// Roles with which the identity sees everything in the sandbox.
const ALL_ROLES: [&str; 4] = [
    "File.Read.All",
    "Alert.Read.All",
    "Machine.Read.All",
    "Ti.ReadWrite.All",
];

fn screenshots() -> PathBuf {
    let folder = repository().join("target/screenshots");
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Uses the page; returns the texts copied as curl and as PowerShell.
async fn use_page(app: &App, token: Option<&str>) -> Value {
    let mut node = Command::new("node");
    node.arg(tools::node_folder("browser").join("explorer.js"))
        .arg(format!("http://127.0.0.1:{}", app.host.port))
        .arg(screenshots())
        .args(token);
    blocking(move || serde_json::from_slice(&tools::run(&mut node).stdout).expect("JSON")).await
}

/// Runs work that waits for another process, without blocking the test's servers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_pastes_an_advisory_and_reads_verdicts_evidence_and_next_actions() {
    let app = App::start().await;
    app.cloud.set_roles(&ALL_ROLES);
    let copied = use_page(&app, None).await;
    let curl = copied["curl"].as_str().unwrap().to_owned();
    let answer = blocking(move || tools::run(Command::new("bash").args(["-c", &curl]))).await;
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        (
            &answer["summary"]["total"],
            &answer["results"][0]["verdict"]
        ),
        (&json!(1), &json!("Malicious"))
    );
    let powershell = copied["powershell"].as_str().unwrap();
    assert!(
        powershell.contains(r#"-Body '@it''s "quoted" $HOME `x` ’’ "#),
        "{powershell}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_pastes_a_token_which_stays_in_the_memory_of_the_page() {
    let app = App::start_guarded(&[]).await;
    let token = app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]));
    let copied = use_page(&app, Some(&token)).await;
    let command = "az account get-access-token --scope 'api://";
    for shell in ["curl", "powershell"] {
        assert!(
            copied[shell].as_str().unwrap().contains(command),
            "{copied}"
        );
    }
}

#[tokio::test]
async fn the_page_needs_no_token_and_lets_nothing_else_in() {
    let app = App::start_guarded(&[]).await;
    for (path, content_type) in [
        ("", "text/html; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/swagger.json", "application/json"),
    ] {
        let answer = app
            .send(ClientRequest::get(&format!("/api/explorer{path}")))
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(content_type))
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let get = |path: &'static str| app.send(ClientRequest::get(path));
    assert_eq!(get("/api/explorer/x").await.problem(404), "not_found");
    assert_eq!(
        get("/api/explorer/%2e%2e%2fpage.js").await.problem(404),
        "not_found"
    );
    assert_eq!(
        get("/api/explorer?x=1").await.problem(400),
        "unknown_parameter"
    );
    let post = app.send(ClientRequest::post("/api/explorer", "x")).await;
    assert_eq!(post.problem(405), "method_not_allowed");
}

#[tokio::test]
async fn the_page_has_no_script_or_style_of_its_own_and_nothing_from_elsewhere() {
    let app = App::start_with(&[
        ("API_AUTH", "entra"),
        ("AZURE_TENANT_ID", sandbox::TENANT_ID),
        ("API_AUDIENCE", "api://\"><script>alert(1)</script>"),
    ])
    .await;
    let page = app.send(ClientRequest::get("/api/explorer")).await.text;
    assert!(!page.contains("<script>") && !page.contains("{{"), "{page}");
    for text in ["style=", " onclick", "http:", "https:", "=\"//"] {
        assert!(!page.contains(text), "{text}");
    }
}

async fn description(app: &App, name: &str) -> Value {
    let answer = app
        .send(ClientRequest::get(&format!("/api/explorer/{name}")))
        .await;
    assert!(answer.text.len() < 1_000_000, "the designer's limit");
    answer.json()
}

#[tokio::test]
async fn both_descriptions_pass_a_validator() {
    for (name, settings) in [
        ("off", vec![]),
        ("host", vec![("API_AUTH", "host")]),
        (
            "entra",
            vec![
                ("API_AUTH", "entra"),
                ("AZURE_TENANT_ID", sandbox::TENANT_ID),
                ("API_AUDIENCE", sandbox::API_AUDIENCE),
                ("WEBSITE_HOSTNAME", "contoso-defender.azurewebsites.net"),
            ],
        ),
    ] {
        let app = App::start_with(&settings).await;
        for file in ["openapi.json", "swagger.json"] {
            let path = screenshots().join(format!("{name}-{file}"));
            fs::write(&path, description(&app, file).await.to_string()).unwrap();
            tools::run(tools::python_command("api", "openapi-spec-validator").arg(&path));
        }
    }
}

#[tokio::test]
async fn the_swagger_is_what_the_connector_designer_takes() {
    let app = App::start_with(&[
        ("API_AUTH", "entra"),
        ("AZURE_TENANT_ID", sandbox::TENANT_ID),
        ("API_AUDIENCE", sandbox::API_AUDIENCE),
        ("WEBSITE_HOSTNAME", "contoso-defender.azurewebsites.net"),
    ])
    .await;
    let swagger = description(&app, "swagger.json").await;
    assert_eq!(
        (&swagger["swagger"], &swagger["host"], &swagger["schemes"]),
        (
            &json!("2.0"),
            &json!("contoso-defender.azurewebsites.net"),
            &json!(["https"])
        )
    );
    let scheme = &swagger["securityDefinitions"]["entra"];
    assert_eq!(scheme["flow"], "accessCode");
    assert_eq!(
        scheme["tokenUrl"],
        format!(
            "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
            sandbox::TENANT_ID
        )
    );
    let text = swagger.to_string();
    for word in [
        "oneOf",
        "anyOf",
        "\"null\"",
        "components",
        "\"content\"",
        "nullable\":false",
    ] {
        assert!(!text.contains(word), "{word}");
    }
    let result = &swagger["definitions"]["HashResult"];
    for field in [
        "verdict",
        "stats",
        "alerts",
        "devices",
        "indicators",
        "nextActions",
    ] {
        assert!(
            result["properties"][field].is_object(),
            "{field} in {result}"
        );
    }
    assert_eq!(result["properties"]["asOf"]["x-ms-summary"], "As Of");
    for operations in swagger["paths"].as_object().unwrap().values() {
        for operation in operations.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(id.starts_with(char::is_uppercase), "{id}");
            for parameter in operation["parameters"].as_array().unwrap() {
                assert!(parameter["x-ms-summary"].is_string(), "{parameter}");
            }
        }
    }
}

#[tokio::test]
async fn every_method_of_every_http_function_is_described() {
    let app = App::start().await;
    let described = description(&app, "openapi.json").await;
    let paths = described["paths"].as_object().unwrap();
    for function in FUNCTIONS {
        let Trigger::Http { path: start, .. } = function.trigger else {
            continue;
        };
        // The explorer shows the description; it does not appear in it.
        for method in function.methods() {
            // HEAD is GET without its body, and is not described.
            let method = match method.as_str() {
                "HEAD" => "get".to_owned(),
                other => other.to_ascii_lowercase(),
            };
            let found = paths.iter().any(|(path, operations)| {
                path.starts_with(start) && operations.get(&method).is_some()
            });
            assert_eq!(found, function.name != "explorer", "{method} {start}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_service_keeps_to_its_description() {
    let app = App::start_with(&[("DEFENDER_CALLS_PER_MINUTE", "10000")]).await;
    app.cloud.set_limits(100_000, 100_000);
    app.cloud.set_graph_quota(false);
    app.cloud.set_roles(&ALL_ROLES);
    let url = format!(
        "http://127.0.0.1:{}/api/explorer/openapi.json",
        app.host.port
    );
    // GET without a hash is 400 and says what is missing, which is more than 405;
    // an item of a list that is not text has its own status in a 200.
    let excluded = "unsupported_method,negative_data_rejection";
    let mut schemathesis = tools::python_command("api", "schemathesis");
    schemathesis
        .args(["run", &url, "--max-examples", "60", "--seed", "1"])
        .args(["--exclude-checks", excluded])
        .current_dir(screenshots());
    let said = blocking(move || tools::run(&mut schemathesis)).await;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("Tested: 11"), "{said}");
    assert!(
        app.get_hash(PUA_SHA1).await.status == 200 && app.get_hash(MALWARE).await.status == 200
    );
}
