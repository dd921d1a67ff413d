//! Records with little, contradicting or unknown data.

use sandbox::{Fault, VdiDevice};
use serde_json::{Value, json};

use super::{Stage, finding};

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
                .contains("1 record has no readable time"),
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
            .contains("does not say whether it is onboarded")
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
        "2 records have the tag but no name",
        "1 live device has no name",
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
            .contains("1 row has no device id")
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
