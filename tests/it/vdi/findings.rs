//! The findings about device records.

use sandbox::VdiDevice;
use serde_json::{Value, json};

use super::{Stage, finding, hosts};

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
