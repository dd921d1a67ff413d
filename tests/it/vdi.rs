//! The hygiene report of virtual desktops, and the tags, by the real executable.

use std::path::Path;

use sandbox::{Fault, Sandbox, Tenant, VdiDevice, vdi_estate};
use serde_json::{Value, json};

use crate::support::{App, app, host::ClientRequest};

const ROLES: [&str; 3] = [
    "Machine.Read.All",
    "ThreatHunting.Read.All",
    "Machine.ReadWrite.All",
];

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

struct Stage {
    cloud: Sandbox,
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(vdi_estate()).await
    }

    async fn with(devices: Vec<VdiDevice>) -> Self {
        let cloud = Sandbox::start(Tenant::default())
            .await
            .expect("loopback ports");
        cloud.set_vdi(devices);
        let settings = [
            ("VDI_HOST_PATTERN", "^vdi-"),
            ("GOLDEN_IMAGE_PATTERN", "^gold-"),
        ];
        Self {
            cloud,
            folder: tempfile::tempdir().unwrap(),
            settings: settings
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
        }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
        self
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        let mut variables = self.cloud.variables();
        variables.extend(self.settings.clone());
        variables.push(("REPORTS_URL", self.folder.path().display().to_string()));
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let work = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            app::run(&arguments, &variables, "")
        };
        let output = tokio::task::spawn_blocking(work).await.expect("no panic");
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `vdi` with these arguments in a new history; returns its summary.
    async fn summary(&self, status: i32, more: &[&str]) -> Value {
        for folder in ["history", "latest"] {
            // The first run has no history.
            let _ = std::fs::remove_dir_all(self.folder.path().join(folder));
        }
        self.summary_of_another(status, more).await
    }

    /// Runs `vdi` with these arguments; returns its summary.
    async fn summary_of_another(&self, status: i32, more: &[&str]) -> Value {
        let run = self
            .run(&[&["vdi", "--format", "json"], more].concat())
            .await;
        assert_eq!(run.status, status, "{}{}", run.stdout, run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// A file of the newest run.
    fn file(&self, name: &str) -> String {
        let latest = std::fs::read(self.folder.path().join("latest/vdi.json")).unwrap();
        let latest: Value = serde_json::from_slice(&latest).unwrap();
        let folder = self.folder.path().join(latest["folder"].as_str().unwrap());
        std::fs::read_to_string(folder.join(name)).unwrap()
    }
}

fn finding<'a>(summary: &'a Value, id: &str) -> Option<&'a Value> {
    summary["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["id"] == id)
}

fn hosts(finding: Option<&Value>) -> Vec<String> {
    let examples = finding
        .map(|finding| finding["examples"].as_array().unwrap().clone())
        .unwrap_or_default();
    examples
        .iter()
        .map(|one| one["host"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_estate_has_every_finding_and_every_number() {
    let stage = Stage::new().await;
    let list = stage.folder.path().join("hosts.txt");
    std::fs::write(
        &list,
        "# pool\nVDI-001\nvdi-002.corp.contoso.com\nvdi-099\nvdi-020\nvdi-001\n",
    )
    .unwrap();
    let summary = stage
        .summary(0, &["--expected-hosts", list.to_str().unwrap()])
        .await;
    let numbers = [
        "hosts",
        "devices",
        "duplicateHosts",
        "clonedDevices",
        "goldenOnboarded",
        "untagged",
        "staleAntivirus",
        "passiveAntivirus",
        "unknownAntivirus",
        "inactive",
        "leftovers",
        "missingHosts",
    ];
    let seen: Vec<i64> = numbers
        .iter()
        .map(|name| summary[*name].as_i64().unwrap())
        .collect();
    assert_eq!(seen, [15, 21, 1, 1, 1, 1, 1, 1, 1, 5, 4, 2], "{summary:#}");
    let found: Vec<(&str, &str, i64)> = summary["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (
                finding["id"].as_str().unwrap(),
                finding["severity"].as_str().unwrap(),
                finding["devices"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("TN-02", "Critical", 1),
            ("TN-03", "Critical", 1),
            ("TN-01", "High", 3),
            ("TN-05", "High", 2),
            ("TN-08", "High", 2),
            ("TN-04", "Medium", 1),
            ("TN-06", "Medium", 1),
            ("TN-07", "Low", 2)
        ]
    );
    assert_eq!(
        hosts(finding(&summary, "TN-04")),
        ["vdi-005.corp.contoso.com"]
    );
    assert_eq!(hosts(finding(&summary, "TN-08")), ["vdi-099", "vdi-020"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_has_its_files_and_no_address_in_them() {
    let stage = Stage::new().await;
    stage.summary(0, &[]).await;
    assert!(
        stage
            .file("findings.csv")
            .starts_with("\u{feff}id,severity,deviceId,host,")
    );
    assert_eq!(stage.file("devices.csv").lines().count(), 22);
    assert!(
        stage
            .file("devices.csv")
            .starts_with("\u{feff}deviceId,host,")
    );
    let page = stage.file("vdi.html");
    assert!(page.contains("TN-03") && page.contains("gold-win11-01"));
    for file in ["summary.json", "findings.csv", "devices.csv", "vdi.html"] {
        assert!(!stage.file(file).contains("203.0.113.7"), "{file}");
    }
    let manifest: Value = serde_json::from_str(&stage.file("manifest.json")).unwrap();
    assert_eq!(
        manifest["files"].as_array().unwrap().len(),
        4,
        "{manifest:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_v11_live_records_of_one_host_are_a_finding_and_silent_ones_leftovers() {
    let three = |hours: [u64; 3]| {
        ["VDI-7", "vdi-7.corp.local", "Vdi-7.CORP.local"]
            .iter()
            .zip(hours)
            .enumerate()
            .map(|(number, (name, hours))| VdiDevice::new(number + 1, name).seen(hours))
            .collect::<Vec<_>>()
    };
    let stage = Stage::with(three([1, 2, 3])).await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["duplicateHosts"], &summary["hosts"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(finding(&summary, "TN-01").unwrap()["devices"], 3);
    stage.cloud.set_vdi(three([72, 1, 73]));
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (
            &summary["duplicateHosts"],
            &summary["leftovers"],
            &summary["inactive"]
        ),
        (&json!(0), &json!(2), &json!(2))
    );
    assert_eq!(finding(&summary, "TN-01"), None);
    stage.cloud.set_vdi(vec![
        VdiDevice::new(1, "vdi-7.corp.local"),
        VdiDevice::new(2, "vdi-7.other.local"),
    ]);
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["duplicateHosts"], &summary["hosts"]),
        (&json!(0), &json!(2))
    );
    stage.cloud.set_vdi(three([1, 2, 3]));
    let summary = stage
        .set("VDI_ENTRY_MODEL", "multiple")
        .summary(0, &[])
        .await;
    assert_eq!(
        (&summary["duplicateHosts"], finding(&summary, "TN-01")),
        (&json!(0), None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_v12_names_in_turn_are_a_clone_and_one_rename_is_none() {
    let named = |names: &[(&str, u64, u64)]| {
        let names = names
            .iter()
            .map(|(name, first, last)| ((*name).to_owned(), *first, *last))
            .collect();
        vec![VdiDevice {
            names,
            ..VdiDevice::new(1, "vdi-a.corp.local")
        }]
    };
    let stage = Stage::with(named(&[("vdi-a", 9, 2), ("vdi-b", 8, 1)])).await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["clonedDevices"], hosts(finding(&summary, "TN-03"))),
        (&json!(1), vec!["vdi-a, vdi-b".to_owned()])
    );
    for none in [
        &[("vdi-a", 9, 5), ("vdi-b", 4, 1)][..],
        &[("vdi-a", 9, 2), ("VDI-A.corp.local", 8, 1)],
    ] {
        stage.cloud.set_vdi(named(none));
        assert_eq!(stage.summary(0, &[]).await["clonedDevices"], 0, "{none:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_v13_a_tag_of_any_kind_is_a_tag() {
    let tag = || vec!["other".to_owned(), "vdi-nonpersistent".to_owned()];
    let bare = |number| VdiDevice::new(number, &format!("vdi-{number}")).tagged("");
    let stage = Stage::with(vec![
        VdiDevice::new(1, "vdi-1"),
        VdiDevice {
            manual_tags: tag(),
            ..bare(2)
        },
        VdiDevice {
            dynamic_tags: tag(),
            ..bare(3)
        },
        // Counted only for its tag.
        VdiDevice::new(4, "kiosk-4"),
    ])
    .await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["untagged"], &summary["devices"]),
        (&json!(0), &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vdi_v14_destroyed_desktops_are_counted_apart() {
    let gone = (1..=3).map(|number| VdiDevice {
        mode: Some("2".into()),
        ..VdiDevice::new(number, &format!("vdi-{number}"))
            .tagged("")
            .seen(300)
    });
    let stage = Stage::with(gone.chain([VdiDevice::new(9, "vdi-9")]).collect()).await;
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (
            &summary["inactive"],
            &summary["leftovers"],
            &summary["findings"]
        ),
        (&json!(3), &json!(0), &json!([]))
    );
    assert_eq!(
        (&summary["untagged"], &summary["passiveAntivirus"]),
        (&json!(0), &json!(0))
    );
}

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
async fn vdi_d1_d2_d3_hostile_names_stay_text_in_every_file() {
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
async fn the_trend_goes_over_past_runs_and_needs_the_pattern() {
    let stage = Stage::new().await;
    let first = stage.summary(0, &[]).await;
    assert_eq!(first["trend"], json!([]));
    wait_for_another_second(stage.folder.path());
    let second = stage.summary_of_another(0, &[]).await;
    assert_eq!(
        (&second["trend"][0]["devices"], &second["trend"][0]["asOf"]),
        (&first["devices"], &first["asOf"])
    );
    assert!(stage.file("vdi.html").contains("Over the last 2 runs"));
    let stage = stage.set("VDI_HOST_PATTERN", "");
    let run = stage.run(&["vdi"]).await;
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("VDI_HOST_PATTERN"), "{}", run.stderr);
    let stage = stage.set("VDI_HOST_PATTERN", "vdi-(");
    assert!(
        stage
            .run(&["vdi"])
            .await
            .stderr
            .contains("no regular expression")
    );
}

/// Two runs of one second are one run.
fn wait_for_another_second(folder: &Path) {
    let newest = std::fs::metadata(folder.join("latest/vdi.json"))
        .unwrap()
        .modified()
        .unwrap();
    while newest.elapsed().unwrap_or_default().as_millis() < 1_000 {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_added_in_batches_and_only_with_apply() {
    let devices: Vec<VdiDevice> = (0..1_200)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")).tagged("Old"))
        .collect();
    let stage = Stage::with(devices).await;
    for arguments in [&["vdi", "tag"][..], &["vdi", "tag", "--dry-run"]] {
        let run = stage.run(arguments).await;
        assert_eq!(
            (run.status, run.stdout.lines().count()),
            (0, 1_200),
            "{}",
            run.stderr
        );
        assert!(
            run.stdout
                .lines()
                .all(|line| line.ends_with("would be tagged"))
        );
    }
    // The reading role does not write.
    let run = stage.run(&["vdi", "tag", "--apply"]).await;
    assert_eq!(run.status, 3);
    assert!(
        run.stdout.contains("FAILED") && run.stdout.contains("Machine.ReadWrite.All"),
        "{}",
        run.stdout
    );
    assert_eq!(stage.cloud.tag_batches(), [0; 0]);
    stage.cloud.set_roles(&ROLES);
    stage
        .cloud
        .add_fault(Fault::status(400).on("/AddOrRemoveTag").times(1));
    let run = stage.run(&["vdi", "tag", "--apply"]).await;
    let count = |end: &str| run.stdout.lines().filter(|line| line.contains(end)).count();
    assert_eq!(
        (run.status, count("\ttagged"), count("FAILED")),
        (0, 1_200, 0),
        "{}",
        run.stderr
    );
    // A rejected batch was retried in halves.
    assert_eq!(stage.cloud.tag_batches(), [250, 250, 500, 200]);
    assert!(
        stage
            .cloud
            .vdi()
            .iter()
            .all(|device| device.registry_tag == "Old"
                && device.manual_tags == ["VDI-NonPersistent"])
    );
    assert_eq!(stage.run(&["vdi", "tag", "--apply"]).await.stdout, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_defender_does_not_know_fails_alone() {
    let devices: Vec<VdiDevice> = (0..30)
        .map(|number| VdiDevice::new(number, &format!("vdi-{number}")).tagged("Old"))
        .collect();
    let stage = Stage::with(devices).await;
    stage.cloud.set_roles(&ROLES);
    // The device left between the look and the write.
    let gone = json!({ "value": [{ "id": "dead\u{1b}[2J", "computerDnsName": "vdi-99", "onboardingStatus": "onboarded", "lastSeen": stage.cloud.vdi_now() }], "@odata.nextLink": format!("{}/api/machines?$top=10000", stage.cloud.defender_url()) });
    stage.cloud.add_fault(
        Fault::json(&gone.to_string())
            .on("/api/machines?$top=10000")
            .times(1),
    );
    let run = stage.run(&["vdi", "tag", "--apply"]).await;
    let failed: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.contains("FAILED"))
        .collect();
    assert_eq!(
        (run.status, run.stdout.lines().count(), failed.len()),
        (3, 31, 1),
        "{}",
        run.stdout
    );
    assert!(
        failed[0]
            .starts_with("dead\\u{001B}[2j\tvdi-99\tFAILED: Defender does not know this device"),
        "{}",
        failed[0]
    );
    assert!(
        stage
            .cloud
            .vdi()
            .iter()
            .all(|device| device.manual_tags == ["VDI-NonPersistent"])
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
            .contains("although hunting knows 30 onboarded devices")
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

/// A hunting response that replaces the sandbox's own rows.
fn hunted(rows: &Value) -> Fault {
    Fault::json(&json!({ "schema": [], "results": rows }).to_string())
        .on("runHuntingQuery")
        .times(1)
}

/// A hunting row of a device whose sensor is impaired.
fn impaired(id: &str, name: &str, time: &str, status: &str) -> Value {
    json!({ "DeviceId": id, "DeviceName": name, "Timestamp": time, "OnboardingStatus": status, "SensorHealthState": "ImpairedCommunication" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_with_little_data_is_counted_and_reported() {
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-1")]).await;
    let now = stage.cloud.vdi_now();
    let row = impaired;
    // A time that cannot be read counts as live and is reported.
    for time in ["", "11/30/2026 1:00:00 AM", "soon"] {
        stage
            .cloud
            .add_fault(hunted(&json!([row("a", "vdi-2", time, "Onboarded")])));
        let summary = stage.summary(3, &[]).await;
        assert_eq!(
            (
                &summary["devices"],
                &summary["untagged"],
                &summary["inactive"]
            ),
            (&json!(2), &json!(1), &json!(0)),
            "{time}"
        );
        assert!(finding(&summary, "TN-06").is_some());
        assert!(
            summary["reasons"]
                .to_string()
                .contains("1 records tell no time"),
            "{summary:#}"
        );
    }
    // Spaces around a time do not matter.
    stage.cloud.add_fault(hunted(&json!([row(
        "a",
        "vdi-2",
        &format!(" {now} "),
        "Onboarded"
    )])));
    assert_eq!(stage.summary(0, &[]).await["devices"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_machines_completes_hunting() {
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-1")]).await;
    let now = stage.cloud.vdi_now();
    let row = impaired;
    // The list of machines completes hunting; other gaps are counted and reported.
    let one = format!("{:040x}", 1);
    stage
        .cloud
        .add_fault(hunted(&json!([row(&one, "vdi-1", &now, "")])));
    assert_eq!(stage.summary(0, &[]).await["devices"], 1);
    stage
        .cloud
        .add_fault(hunted(&json!([row("a", "vdi-2", &now, "")])));
    let summary = stage.summary(3, &[]).await;
    assert_eq!(summary["devices"], 2);
    assert!(
        summary["reasons"]
            .to_string()
            .contains("do not tell whether they are onboarded")
    );
    // A record without a name is a separate host, not a duplicate of another one.
    let nameless = |id: &str| json!({ "DeviceId": id, "Timestamp": now, "OnboardingStatus": "Onboarded", "RegistryDeviceTag": "VDI-NonPersistent" });
    stage.cloud.add_fault(hunted(&json!([
        nameless("a"),
        nameless("b"),
        row("c", "", &now, "Onboarded")
    ])));
    let summary = stage.summary(3, &[]).await;
    assert_eq!(
        (&summary["devices"], &summary["duplicateHosts"]),
        (&json!(3), &json!(0))
    );
    for reason in [
        "2 records have the tag and no name",
        "1 live devices have no name",
    ] {
        assert!(
            summary["reasons"].to_string().contains(reason),
            "{summary:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_understood_are_reported() {
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-1")]).await;
    let now = stage.cloud.vdi_now();
    let row = impaired;
    // Rows without an id, and rows with other spellings of the columns.
    stage
        .cloud
        .add_fault(hunted(&json!([{ "device": "a", "DeviceName": "vdi-2" }])));
    let summary = stage.summary(3, &[]).await;
    assert_eq!(
        (&summary["duplicateHosts"], &summary["devices"]),
        (&Value::Null, &json!(1))
    );
    assert!(
        summary["reasons"]
            .to_string()
            .contains("1 rows have no device id")
    );
    let respelled = json!([{ "deviceId": "a", "deviceName": "vdi-2", "timestamp": now, "onboardingStatus": "Onboarded", "registryDeviceTag": "VDI-NonPersistent", "deviceManualTags": "[\"x\",7]", "deviceDynamicTags": true }]);
    stage.cloud.add_fault(hunted(&respelled));
    assert_eq!(stage.summary(0, &[]).await["devices"], 2);
    // Names whose times cannot be read do not count as clones.
    stage
        .cloud
        .add_fault(hunted(&json!([row("a", "vdi-2", &now, "Onboarded")])));
    stage.cloud.add_fault(hunted(
        &json!([{ "DeviceId": "a", "Host": "vdi-2", "FirstSeen": "", "LastSeen": now }]),
    ));
    assert_eq!(stage.summary(3, &[]).await["clonedDevices"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activity_decides_what_is_live_whatever_defender_merged() {
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-7")]).await;
    let now = stage.cloud.vdi_now();
    let row = |id: &str, name: &str| json!({ "DeviceId": id, "DeviceName": name, "Timestamp": now, "OnboardingStatus": "Onboarded", "MergedToDeviceId": "elsewhere" });
    let one = format!("{:040x}", 1);
    stage.cloud.add_fault(hunted(&json!([
        row(&one, "vdi-7"),
        row("b", "VDI-7.corp.local"),
        row("c", "vdi-7")
    ])));
    let summary = stage.summary(0, &[]).await;
    assert_eq!(
        (&summary["duplicateHosts"], &summary["leftovers"]),
        (&json!(1), &json!(0)),
        "{summary:#}"
    );
    // A discovered device that is not in Defender does not affect domains.
    let foreign = json!({ "DeviceId": "d", "DeviceName": "vdi-7.workgroup", "Timestamp": now, "OnboardingStatus": "Can be onboarded" });
    stage.cloud.add_fault(hunted(&json!([
        row(&one, "vdi-7"),
        row("b", "VDI-7.corp.local"),
        foreign
    ])));
    assert_eq!(stage.summary(0, &[]).await["duplicateHosts"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expected_hosts_are_each_counted_once_and_a_golden_image_is_one() {
    let golden = VdiDevice::new(2, "gold-1.corp.local");
    let stage = Stage::with(vec![VdiDevice::new(1, "vdi-1.corp.local"), golden]).await;
    let file = stage.folder.path().join("hosts");
    let utf16: Vec<u8> = "\u{feff}vdi-1\rvdi-9\r\nvdi-9.corp.local\ngold-1\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(&file, utf16).unwrap();
    let summary = stage
        .summary(0, &["--expected-hosts", file.to_str().unwrap()])
        .await;
    assert_eq!(summary["missingHosts"], 1, "{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_hosts_is_refused() {
    let stage = Stage::new().await;
    let file = stage.folder.path().join("hosts");
    for (content, why) in [
        (&b""[..], "no host name"),
        (b"a,b\n", "not a host name"),
        (b"\xc3\x28", "not a host name"),
        (b"v\0d\0i\0", "not text in UTF-8 or UTF-16"),
        (b"CORP\\vdi-1\n", "not a host name"),
        (b"vdi-2$\n", "not a host name"),
        ("vdi-\u{202e}1\n".as_bytes(), "not a host name"),
        (b"# only\n", "no host name"),
    ] {
        std::fs::write(&file, content).unwrap();
        let run = stage
            .run(&["vdi", "--expected-hosts", file.to_str().unwrap()])
            .await;
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_api_runs_and_answers_the_report() {
    let app = App::start_with(&[("VDI_HOST_PATTERN", "^vdi-")]).await;
    assert_eq!(
        app.send(ClientRequest::get("/api/vdi")).await.problem(404),
        "no_report"
    );
    let run = app.send(ClientRequest::post("/api/vdi", "")).await.json();
    assert_eq!(
        (&run["devices"], &run["goldenOnboarded"]),
        (&json!(21), &Value::Null),
        "{run:#}"
    );
    assert_eq!(app.send(ClientRequest::get("/api/vdi")).await.json(), run);
    let csv = app.send(ClientRequest::get("/api/vdi/findings.csv")).await;
    assert!(csv.text.contains("TN-01"));
    let page = app.send(ClientRequest::get("/api/vdi/vdi.html")).await;
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(
        app.send(ClientRequest::get("/api/vdi/x"))
            .await
            .problem(404),
        "no_such_file"
    );
    assert_eq!(
        app.send(ClientRequest::post("/api/vdi/x", ""))
            .await
            .problem(405),
        "method_not_allowed"
    );
    let off = App::start().await;
    assert_eq!(
        off.send(ClientRequest::post("/api/vdi", ""))
            .await
            .problem(404),
        "report_off"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timer_writes_one_run_an_occurrence_into_a_place_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let own = place.path().display().to_string();
    let occurrence = json!({ "Data": { "timer": { "Schedule": {}, "IsPastDue": true,
            "ScheduleStatus": { "Last": "2020-01-01T00:00:00+00:00", "Next": "2026-11-23T06:00:00+00:00" } } },
        "Metadata": { "sys": { "MethodName": "vdi_report" } } });
    let app = App::start_with(&[
        ("VDI_HOST_PATTERN", "^vdi-"),
        ("VDI_REPORTS_URL", own.as_str()),
    ])
    .await;
    for line in [
        "run 20261123T060000Z is written, complete",
        "run 20261123T060000Z was already done",
    ] {
        let done = app.host.invoke("vdi_report", &occurrence).await;
        assert!(
            done.expect("no failed invocation")
                .logs
                .concat()
                .contains(line),
            "{line}"
        );
    }
    assert!(
        place
            .path()
            .join("history/vdi/runs/20261123T060000Z.json")
            .is_file()
    );
    assert!(!app.reports.path().join("history").exists());
    let off = App::start().await;
    let done = off.host.invoke("vdi_report", &occurrence).await;
    let line = done.expect("no failed invocation").logs.concat();
    assert!(line.contains("`VDI_HOST_PATTERN` is not set"), "{line}");
}
