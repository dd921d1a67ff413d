//! Adding tags.

use sandbox::{Fault, VdiDevice};
use serde_json::json;

use super::{ROLES, Stage};

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
