//! Every hunting query that ships binds: Microsoft's own language service finds
//! no unknown table, column or function in it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::{
    App,
    app::{MALWARE, PUA_SHA1, unknown_hash},
    tools,
};

/// The language service's messages about a query; empty when it binds.
pub fn check(query: &str) -> String {
    let folder = tools::node_folder("kql");
    let mut node = Command::new("node")
        .arg(folder.join("check.js"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    node.stdin
        .take()
        .expect("piped")
        .write_all(query.as_bytes())
        .expect("written");
    let output = node.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn the_language_service_finds_what_does_not_bind() {
    assert!(check("NoTable | take 1").contains("NoTable"));
    assert!(check("DeviceFileEvents | where NoColumn == 1").contains("NoColumn"));
}

#[test]
fn the_queries_of_resource_graph_bind() {
    use functions::coverage::{AI_RESOURCES, PRICINGS, SUBSCRIPTIONS, WORKBOOKS};
    for query in [SUBSCRIPTIONS, PRICINGS, AI_RESOURCES, WORKBOOKS] {
        assert_eq!(check(query.text), "", "{}", query.name);
        // Pages need a stable order.
        assert!(query.text.contains("project id,") && query.text.ends_with("order by id asc\n"));
    }
}

#[test]
fn the_queries_of_the_vdi_report_bind_as_one_and_in_parts() {
    use functions::{
        query::part,
        vdi::{DEVICES, NAMES},
    };
    for query in [DEVICES, NAMES] {
        assert_eq!(check(query.text), "", "{}", query.name);
        let part = part(query, 4, 3);
        assert!(part.contains("| where hash(DeviceId, 4) == 3\n"));
        assert_eq!(check(&part), "", "{}", query.name);
    }
    assert_eq!(check(functions::health::PROBE.text), "");
}

#[test]
fn the_query_for_people_binds() {
    assert_eq!(check(functions::coverage::EXPOSURE.text), "");
}

#[tokio::test]
async fn the_hunt_that_is_advised_binds() {
    let app = App::start().await;
    for hash in [MALWARE, PUA_SHA1, &unknown_hash(1)] {
        let answer = app.get_hash(hash).await.json();
        let advised = answer["nextActions"].as_array().unwrap();
        let hunt = advised
            .iter()
            .find(|next| next["action"] == "hunt")
            .expect("a hunt");
        let query = hunt["kql"].as_str().unwrap();
        assert_eq!(check(query), "", "{query}");
    }
}
