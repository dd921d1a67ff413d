//! How the records are read: hunting, lists of machines, antivirus health.

use sandbox::{Fault, VdiDevice};
use serde_json::{Value, json};

use super::runs::wait_for_another_second;
use super::{Stage, finding, hosts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_h1_both_spellings_of_hunting_give_the_same_rows_by_both_routes() {
    let stage = Stage::new().await;
    let graph = stage.summary(0, &[]).await;
    stage.cloud.set_hunting_capitals(true);
    let capitals = stage.summary(0, &[]).await;
    assert_eq!(capitals["findings"], graph["findings"]);
    stage
        .cloud
        .set_roles(&["Machine.Read.All", "AdvancedQuery.Read.All"]);
    let asked = stage.cloud.graph_calls().len();
    let stage = stage.set("HUNTING_ROUTE", "defender");
    assert_eq!(stage.summary(0, &[]).await["findings"], graph["findings"]);
    assert_eq!(stage.cloud.graph_calls().len(), asked);
    let stage = stage.set("HUNTING_ROUTE", "xdr");
    assert_eq!(stage.run(&["vdi"]).await.status, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_h2_a_tenant_without_hunting_gets_the_data_of_the_machines() {
    let stage = Stage::new().await;
    stage.cloud.set_roles(&["Machine.Read.All"]);
    let summary = stage.summary(3, &[]).await;
    assert_eq!(
        (
            &summary["complete"],
            &summary["duplicateHosts"],
            &summary["clonedDevices"]
        ),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(
        (&summary["devices"], &summary["staleAntivirus"]),
        (&json!(19), &json!(1))
    );
    let reasons = summary["reasons"].to_string();
    assert!(
        reasons.contains("ThreatHunting.Read.All` of Microsoft Graph")
            && reasons.contains("cannot be seen"),
        "{reasons}"
    );
    assert!(finding(&summary, "TN-02").is_some() && finding(&summary, "TN-07").is_none());
    assert!(stage.file("vdi.html").contains("NOT complete"));
    // Without any role, the report before stays the newest.
    stage.cloud.set_roles(&[]);
    wait_for_another_second(stage.folder.path());
    let run = stage.run(&["vdi"]).await;
    assert_eq!(run.status, 3);
    assert!(
        run.stderr.contains("no report was written"),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hunting_over_its_limits_is_asked_for_in_parts() {
    let devices: Vec<VdiDevice> = (0..500)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")))
        .collect();
    let stage = Stage::with(devices).await;
    stage.cloud.set_hunting_limits(100_000, 60_000);
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["devices"], &summary["complete"]),
        (&json!(500), &json!(true))
    );
    assert!(stage.cloud.graph_calls().len() > 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_m1_m2_pages_are_read_once_to_the_end_with_links_and_without() {
    let devices: Vec<VdiDevice> = (0..25_000)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")))
        .collect();
    let stage = Stage::with(devices).await;
    let calls = |of: &str| {
        stage
            .cloud
            .defender_calls()
            .iter()
            .filter(|call| call.target.contains(of))
            .count()
    };
    for links in [false, true] {
        stage.cloud.set_machine_page(usize::MAX, links);
        let before = (calls("/machines"), calls("/deviceavinfo"));
        let summary = stage.summary(0, &[]).await;
        assert_eq!(
            (&summary["devices"], &summary["unknownAntivirus"]),
            (&json!(25_000), &json!(0))
        );
        assert_eq!(
            (calls("/machines"), calls("/deviceavinfo")),
            (before.0 + 3, before.1 + 3)
        );
    }
    assert!(
        stage
            .cloud
            .defender_calls()
            .iter()
            .all(|call| call.target.contains("$top=10000"))
    );
    stage.cloud.set_vdi(Vec::new());
    // A pattern for an empty pool is a mistake.
    let summary = stage.summary(3, &[]).await;
    assert_eq!(summary["devices"], 0);
    assert!(summary["reasons"].to_string().contains("check the pattern"));
    assert!(stage.file("vdi.html").contains("No device record matches"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a30_a_list_that_fails_half_way_is_resumed_and_leads_nowhere_else() {
    let devices: Vec<VdiDevice> = (0..30)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")))
        .collect();
    let stage = Stage::with(devices).await;
    stage.cloud.set_machine_page(10, true);
    stage.cloud.add_fault(
        Fault::status(503)
            .header("retry-after", "0")
            .on("/machines?$top=10&$skip=10")
            .times(5),
    );
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["devices"], &summary["complete"]),
        (&json!(30), &json!(true))
    );
    let firsts = stage
        .cloud
        .defender_calls()
        .iter()
        .filter(|call| call.target == "/api/machines?$top=10000")
        .count();
    assert_eq!(firsts, 1, "the list does not start over");
    for link in [
        "https://evil.example/api/machines?$skip=10",
        "/api/files/x",
        "\\\\evil.example\\x",
    ] {
        stage.cloud.clear_faults();
        let page = json!({ "value": [{ "id": "a", "computerDnsName": "vdi-1", "rbacGroupId": "140", "healthStatus": "New" }], "@odata.nextLink": link });
        stage
            .cloud
            .add_fault(Fault::json(&page.to_string()).on("/api/machines"));
        let summary = stage.summary(3, &[]).await;
        assert!(
            summary["reasons"].to_string().contains("leads elsewhere"),
            "{link} {summary:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_page_is_not_the_end_of_the_list() {
    let devices: Vec<VdiDevice> = (0..30)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")))
        .collect();
    let stage = Stage::with(devices).await;
    stage.cloud.set_machine_page(10, true);
    stage
        .cloud
        .add_fault(Fault::status(404).on("/machines?$top=10&$skip=10"));
    let summary = stage.summary(3, &[]).await;
    assert!(
        summary["reasons"].to_string().contains("was not found"),
        "{summary:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_a1_a2_m3_antivirus_health_without_information_is_unknown() {
    let of = |number: usize, mode: &str, engine: &str| VdiDevice {
        mode: Some(mode.to_owned()),
        up_to_date: ["True".to_owned(), engine.to_owned(), "True".to_owned()],
        ..VdiDevice::new(number, &format!("vdi-{number}"))
    };
    let stage = Stage::with(vec![
        of(1, "", "True"),
        of(2, "4", "True"),
        of(3, "0", "Unknown"),
        of(4, "3", "True"),
        of(5, "0", "False"),
        VdiDevice {
            mode: None,
            ..VdiDevice::new(6, "vdi-6")
        },
    ])
    .await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (
            &summary["passiveAntivirus"],
            &summary["staleAntivirus"],
            &summary["unknownAntivirus"]
        ),
        (&json!(1), &json!(1), &json!(4))
    );
    stage
        .cloud
        .add_fault(Fault::status(403).on("/deviceavinfo"));
    let summary = stage.summary(3, &[]).await;
    assert_eq!(
        (
            &summary["passiveAntivirus"],
            &summary["unknownAntivirus"],
            &summary["devices"]
        ),
        (&Value::Null, &Value::Null, &json!(6))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_d1_d3_hostile_names_stay_text_in_every_file() {
    let names = [
        "=cmd|' /C calc'!A0",
        "<img src=x onerror=alert(1)>",
        "a\"b,c\nd",
        "x\u{202e}y",
        "$(calc)`;",
    ];
    let devices = names.iter().enumerate().map(|(number, name)| {
        VdiDevice::new(number + 1, name)
            .tagged("VDI-NonPersistent")
            .seen(1)
    });
    let devices = devices
        .map(|device| VdiDevice {
            health: "<b>Impaired</b>".into(),
            ..device
        })
        .collect();
    let stage = Stage::with(devices).await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(summary["devices"], 5);
    assert!(hosts(finding(&summary, "TN-06")).contains(&names[1].to_owned()));
    let csv = stage.file("devices.csv");
    assert!(
        csv.contains(",'=cmd|") && csv.contains("\"a\"\"b,c\nd\""),
        "{csv}"
    );
    let page = stage.file("vdi.html");
    assert!(
        page.contains("&lt;img src=x")
            && !page.contains("<img")
            && !page.contains("<b>Impaired")
            && !page.contains('\u{202e}')
    );
    wait_for_another_second(stage.folder.path());
    let table = stage.run(&["vdi"]).await;
    assert!(
        !table.stdout.contains('\u{202e}') && table.stdout.contains("TN-06"),
        "{}",
        table.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_ends_in_nothing_is_not_complete() {
    let devices: Vec<VdiDevice> = (0..30)
        .map(|number| VdiDevice {
            mode: Some("2".to_owned()),
            ..VdiDevice::new(number, &format!("vdi-{number}"))
        })
        .collect();
    let stage = Stage::with(devices).await;
    stage.cloud.set_machine_page(10, true);
    // A 404 means an empty tenant only on the first page of machines.
    for (path, number) in [
        ("/deviceavinfo?$top=10000", "passiveAntivirus"),
        ("/deviceavinfo?$top=10&$skip=10", "passiveAntivirus"),
    ] {
        stage.cloud.clear_faults();
        stage.cloud.add_fault(Fault::status(404).on(path));
        let summary = stage.summary(3, &[]).await;
        assert_eq!(summary[number], Value::Null, "{path}");
        assert!(
            summary["reasons"]
                .to_string()
                .contains("antivirus health: "),
            "{path}"
        );
    }
    stage.cloud.clear_faults();
    stage
        .cloud
        .add_fault(Fault::status(404).on("/machines?$top=10&$skip=10"));
    let summary = stage.summary(3, &[]).await;
    assert!(
        summary["reasons"]
            .to_string()
            .contains("the list of machines")
    );
    // An empty first page also contradicts the hunting results.
    stage.cloud.clear_faults();
    stage
        .cloud
        .add_fault(Fault::status(404).on("/machines?$top=10000"));
    let summary = stage.summary(3, &[]).await;
    assert!(
        summary["reasons"]
            .to_string()
            .contains("although hunting shows 30 onboarded devices")
    );
    // An empty page with a link is not the end.
    stage.cloud.clear_faults();
    let next = format!(
        "{}/api/deviceavinfo?$top=10&$skip=10",
        stage.cloud.defender_url()
    );
    let empty = json!({ "value": [], "@odata.nextLink": next });
    stage.cloud.add_fault(
        Fault::json(&empty.to_string())
            .on("/deviceavinfo?$top=10000")
            .times(1),
    );
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["passiveAntivirus"], &summary["unknownAntivirus"]),
        (&json!(20), &json!(10))
    );
}
