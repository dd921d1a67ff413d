//! Who may call the deployed app.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::deployed::settings;
use super::{deployed, infra, of_type};
use crate::support::{App, host::ClientRequest, package::repository};

#[test]
fn what_app_service_lets_through_is_what_needs_no_token() {
    let app = fs::read_to_string(infra().join("modules/app.bicep")).unwrap();
    let open = app
        .split("var openPaths = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let open: BTreeSet<&str> = open
        .lines()
        .map(|line| line.trim().trim_matches('\''))
        .filter(|line| !line.is_empty())
        .collect();
    let assets = fs::read_to_string(repository().join("handler/routes/explorer.rs")).unwrap();
    let named = assets.lines().filter_map(|line| {
        line.trim()
            .strip_prefix('"')?
            .split_once("\" => ")
            .map(|(name, _)| name)
    });
    let mut expected: BTreeSet<String> = named
        .map(|name| {
            format!("/api/explorer/{name}")
                .trim_end_matches('/')
                .to_owned()
        })
        .collect();
    expected.insert("/api/health".to_owned());
    expected.insert("/api/explorer".to_owned());
    assert_eq!(open, expected.iter().map(String::as_str).collect());
}

/// The gate of the app.
///
/// These are the state of App Service authentication, and the settings `API_AUTH`
/// and `API_AUDIENCE` of the executable.
fn gate(parameter: &str) -> Option<(Value, Value, Value)> {
    let resources = deployed(parameter)?;
    let configs = of_type(&resources, "Microsoft.Web/sites/config");
    let ends = |config: &&Value| {
        let name = config["name"].as_str();
        name.is_some_and(|name| name.ends_with("/authsettingsV2"))
    };
    let is = configs.into_iter().find(ends).unwrap()["properties"].clone();
    assert_eq!(
        is["globalValidation"]["unauthenticatedClientAction"],
        "Return401"
    );
    let platform = is["platform"]["enabled"].clone();
    assert_eq!(is["globalValidation"]["requireAuthentication"], platform);
    let directory = &is["identityProviders"]["azureActiveDirectory"];
    assert_eq!(directory["enabled"], platform);
    let settings = settings(&resources);
    Some((
        platform,
        settings["API_AUTH"].clone(),
        settings["API_AUDIENCE"].clone(),
    ))
}

#[test]
fn the_app_starts_closed_and_opens_to_the_callers_of_one_registration() {
    let client = "22222222-3333-4444-5555-666666666666";
    let Some(open) = gate("param privateNetwork = false") else {
        return;
    };
    assert_eq!(open, (json!(true), json!("entra"), json!(client)));
    let (platform, auth, audience) = gate("param apiClientId = ''").unwrap();
    assert_eq!((platform, auth), (json!(false), json!("entra")));
    assert_eq!(
        audience,
        uuid::Uuid::nil().to_string(),
        "no application has this id, so no token is for it"
    );
    let by_key = gate("param apiAuth = 'host'").unwrap();
    assert_eq!(by_key, (json!(false), json!("host"), json!("")));
}

/// The template's settings before a registration exists start the executable.
#[tokio::test]
async fn an_app_that_no_one_may_call_yet_starts_and_says_401() {
    let no_app = uuid::Uuid::nil().to_string();
    let app = App::start_guarded(&[("API_AUDIENCE", &no_app)]).await;
    let health = app.send(ClientRequest::get("/api/health")).await;
    assert_eq!(health.status, 200);
    let token = app.cloud.sign(&app.cloud.caller_claims(&["Hashes.Read"]));
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    let request = ClientRequest::get("/api/hashes/x").with(&headers);
    assert_eq!(app.send(request).await.problem(401), "token_refused");
}
