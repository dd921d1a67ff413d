//! Settings of another version, and misspelled ones.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{
    App,
    app::{self, CLEAN, MALWARE, cloud},
};

/// A setting of a later version, and one that was removed.
const OTHER_VERSIONS: [(&str, &str); 2] = [
    ("COVERAGE_NEW_THING_OF_TOMORROW", "1"),
    ("DEFENDER_CALL_PER_MINUTE", "50"),
];

#[tokio::test]
async fn an_upgrade_or_a_rollback_does_not_stop_the_service() {
    let app = App::start_with(&OTHER_VERSIONS).await;
    let answer = app.get_hash(MALWARE).await;
    assert_eq!(
        (answer.status, &answer.json()["verdict"]),
        (200, &"Malicious".into())
    );
    let line = app
        .host
        .console_line(|line| line.text.contains("\"unknown_setting\""))
        .await;
    for (name, _) in OTHER_VERSIONS {
        assert!(line.text.contains(name), "{line:?}");
    }
    assert!(line.text.contains("\"ERROR\""), "{line:?}");
    let lines = app.host.console();
    let count = lines
        .iter()
        .filter(|line| line.text.contains("unknown_setting"));
    assert_eq!(count.count(), 1, "one line for all of them");

    // `doctor` in the deployed service also names them.
    let health: Value = app
        .send(crate::support::host::ClientRequest::get(
            "/api/health?deep=true",
        ))
        .await
        .json();
    let checks = health["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["id"] == "settings")
        .unwrap();
    assert_eq!(check["state"], "missing");
    let detail = check["detail"].as_str().unwrap();
    assert!(
        detail.contains("`COVERAGE_NEW_THING_OF_TOMORROW` is not a setting"),
        "{detail}"
    );
    assert!(
        detail.contains("did you mean `DEFENDER_CALLS_PER_MINUTE`?"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_bad_value_of_a_known_setting_still_ends_the_service() {
    let cloud = cloud().await;
    let variables: BTreeMap<String, String> = cloud
        .variables()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain([
            ("API_AUTH".to_owned(), "off".to_owned()),
            ("CSV_BOM".to_owned(), "perhaps".to_owned()),
        ])
        .collect();
    let purpose = handler::config::Purpose::Host;
    let problems = handler::config::Config::read(&variables, purpose).unwrap_err();
    assert!(problems.to_string().contains("`CSV_BOM`"), "{problems}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_refuses_a_misspelled_setting_and_names_the_right_one() {
    let cloud = cloud().await;
    let mut variables = cloud.variables();
    variables.extend(OTHER_VERSIONS.map(|(name, value)| (name, value.to_owned())));
    let work = move || app::run(&["lookup", CLEAN], &variables, "");
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("did you mean `DEFENDER_CALLS_PER_MINUTE`?"),
        "{said}"
    );
    assert!(
        said.contains("`COVERAGE_NEW_THING_OF_TOMORROW` is not a setting; docs/configuration.md"),
        "{said}"
    );
    assert_eq!(cloud.defender_calls().len(), 0);
}
