//! The history in Blob storage: Azurite over HTTPS, with the bearer token of
//! the managed identity, and with faults at every write.

mod refusals;

use sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{
    HttpMode, SimulatedHost,
    app::cloud,
    azurite::{Azurite, Fate},
    host::ClientRequest,
    package,
};

/// The product under the host, with its history in two Azurite containers.
struct Stage {
    cloud: Sandbox,
    azurite: Azurite,
    history: String,
    latest: String,
    token: String,
    slots: usize,
}

impl Stage {
    async fn new() -> Self {
        let cloud = cloud().await;
        let azurite = Azurite::start().await;
        let token = cloud.token("https://storage.azure.com");
        let history = azurite.container("coverage-history", &token).await;
        let latest = azurite.container("latest", &token).await;
        Self {
            cloud,
            azurite,
            history,
            latest,
            token,
            slots: 0,
        }
    }

    async fn host(&self) -> SimulatedHost {
        let mut variables = self.cloud.variables();
        variables.extend([
            ("API_AUTH", "off".to_owned()),
            ("REPORTS_URL", self.history.clone()),
            ("REPORTS_LATEST_URL", self.latest.clone()),
            ("SSL_CERT_FILE", self.azurite.trusted.display().to_string()),
        ]);
        let host = SimulatedHost::start(package::unpacked(), &variables).await;
        self.azurite.writer(host.pid());
        host
    }

    /// Runs the timer for its next occurrence; returns its log line.
    ///
    /// It is `None` if the invocation failed or the process was killed.
    async fn tick(&mut self, host: &SimulatedHost) -> Option<String> {
        self.slots += 1;
        self.tick_again(host).await
    }

    /// Runs the same occurrence again.
    async fn tick_again(&self, host: &SimulatedHost) -> Option<String> {
        let next = format!(
            "2026-11-23T{:02}:{:02}:00+00:00",
            self.slots / 60,
            self.slots % 60
        );
        let timer = json!({ "ScheduleStatus": { "Next": next }, "IsPastDue": true });
        let envelope = json!({ "Data": { "timer": timer }, "Metadata": {} });
        let done = host.invoke("coverage_report", &envelope).await;
        done.ok().map(|done| done.logs.concat())
    }

    /// The newest run as a reader sees it.
    ///
    /// Each of its files exists and has the length in the manifest.
    async fn newest(&self) -> Option<Value> {
        let (text, _) = self
            .azurite
            .read("latest/latest/coverage.json", &self.token)
            .await?;
        let manifest: Value = serde_json::from_str(&text).expect("JSON");
        let folder = format!(
            "coverage-history/{}",
            manifest["folder"].as_str().expect("a text")
        );
        for file in manifest["files"].as_array().expect("files") {
            let path = format!("{folder}/{}", file["name"].as_str().expect("a text"));
            let found = self.azurite.read(&path, &self.token).await;
            let (text, kind) = found.unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (&file["bytes"], &file["contentType"]),
                (&json!(text.len()), &json!(kind)),
                "{path}"
            );
        }
        let own = self
            .azurite
            .read(&format!("{folder}/manifest.json"), &self.token)
            .await;
        assert_eq!(own.expect("its manifest").0, text);
        Some(manifest)
    }

    async fn slot(&self) -> String {
        let newest = self.newest().await.expect("a run");
        newest["slot"].as_str().expect("a text").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_written_to_blob_storage_with_the_identity() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    assert_eq!(
        stage.tick(&host).await.unwrap(),
        "run 20261123T000100Z is written, complete"
    );
    let manifest = stage.newest().await.unwrap();
    let csv = format!(
        "coverage-history/{}/coverage.csv",
        manifest["folder"].as_str().unwrap()
    );
    let (text, kind) = stage.azurite.read(&csv, &stage.token).await.unwrap();
    assert_eq!(
        (text.lines().count(), kind.as_str()),
        (91, "text/csv; charset=utf-8; header=present")
    );
    let calls = stage.cloud.identity_calls();
    assert!(
        calls
            .iter()
            .any(|call| call.target.contains("storage.azure.com")),
        "{calls:?}"
    );
    let writes = stage.azurite.writes().len();
    assert_eq!(
        stage.tick_again(&host).await.unwrap(),
        "run 20261123T000100Z was already done"
    );
    assert_eq!(
        stage.azurite.writes().len(),
        writes,
        "B1: a doubled timer writes nothing"
    );
}

/// Kills a run before or after each of its writes.
///
/// Readers still have the complete run before it, and the next run finishes it or
/// starts over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_a_crash_at_any_write_leaves_a_complete_report() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    stage.azurite.judge(|_, _| Fate::Pass);
    stage.tick(&host).await.unwrap();
    let writes = stage.azurite.writes();
    assert!(
        writes.len() == 11 && writes[10].ends_with("latest/coverage.json"),
        "{writes:#?}"
    );
    for number in 0..writes.len() {
        for fate in [Fate::KilledBefore, Fate::KilledAfter] {
            let before = stage.slot().await;
            let host = stage.host().await;
            stage
                .azurite
                .judge(move |at, _| if at == number { fate } else { Fate::Pass });
            assert_eq!(stage.tick(&host).await, None, "killed at write {number}");
            let moved = stage.slot().await != before;
            assert_eq!(
                moved,
                number == 10 && fate == Fate::KilledAfter,
                "write {number} {fate:?}"
            );
            stage.azurite.judge(|_, _| Fate::Pass);
            let host = stage.host().await;
            let done = stage.tick_again(&host).await.unwrap();
            // Once the record exists, the run counts and is finished.
            let committed = number > 8 || (number == 8 && fate == Fate::KilledAfter);
            assert_eq!(
                done.ends_with("was already done"),
                committed,
                "write {number} {fate:?}: {done}"
            );
            assert!(stage.slot().await > before, "write {number} {fate:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_a_lost_answer_to_the_commit_is_not_a_second_run() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    let lost = |wanted: &'static str| {
        let mut is_first = true;
        move |_: usize, path: &str| {
            if path.contains(wanted) && std::mem::take(&mut is_first) {
                Fate::Lost(500)
            } else {
                Fate::Pass
            }
        }
    };
    for wanted in [
        "/runs/",
        "/coverage.csv",
        "manifest.json",
        "latest/coverage.json",
    ] {
        stage.azurite.judge(lost(wanted));
        let done = stage.tick(&host).await.unwrap();
        assert!(done.ends_with("is written, complete"), "{wanted}: {done}");
        assert!(
            stage
                .azurite
                .writes()
                .iter()
                .any(|path| path.contains(wanted))
        );
        assert!(
            stage
                .slot()
                .await
                .ends_with(&format!("{:02}00Z", stage.slots)),
            "{wanted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_two_instances_make_one_run_of_an_occurrence() {
    let mut stage = Stage::new().await;
    let (one, other) = (stage.host().await, stage.host().await);
    stage.slots = 1;
    let (first, second) = tokio::join!(stage.tick_again(&one), stage.tick_again(&other));
    let mut done = [first.unwrap(), second.unwrap()];
    done.sort();
    assert_eq!(
        done,
        [
            "run 20261123T000100Z is written, complete",
            "run 20261123T000100Z was already done"
        ]
    );
    assert_eq!(stage.slot().await, "20261123T000100Z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b03_a_pointer_that_another_writer_moved_is_read_again() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    let mut refusals = 2;
    stage.azurite.judge(move |_, path| {
        if path.ends_with("latest/coverage.json") && refusals > 0 {
            refusals -= 1;
            return Fate::Refused(412);
        }
        Fate::Pass
    });
    stage.tick(&host).await.unwrap();
    assert_eq!(stage.slot().await, "20261123T000200Z");
    let moves = stage.azurite.writes();
    assert_eq!(
        moves
            .iter()
            .filter(|path| path.ends_with("latest/coverage.json"))
            .count(),
        3
    );
}

/// A run that is behind does not move the pointer back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_no_older_run_becomes_the_newest() {
    let mut stage = Stage::new().await;
    let host = stage.host().await;
    stage.tick(&host).await.unwrap();
    let mut newer = stage.newest().await.unwrap();
    // Less than clocks may differ: it counts as newer, not as a wrong clock.
    let soon = time::OffsetDateTime::now_utc() + std::time::Duration::from_secs(100);
    let soon = soon.format(&time::format_description::well_known::Rfc3339);
    newer["asOf"] = json!(soon.unwrap());
    stage
        .azurite
        .write(
            "latest/latest/coverage.json",
            newer.to_string(),
            &stage.token,
        )
        .await;
    let done = stage.tick(&host).await.unwrap();
    assert!(done.ends_with("is written, complete"), "{done}");
    let (text, _) = stage
        .azurite
        .read("latest/latest/coverage.json", &stage.token)
        .await
        .unwrap();
    assert_eq!(text, newer.to_string());
}

async fn get(host: &SimulatedHost) -> (u16, Value) {
    ask(host, ClientRequest::get("/api/coverage")).await
}

async fn post(host: &SimulatedHost) -> (u16, Value) {
    ask(host, ClientRequest::post("/api/coverage", "")).await
}

async fn ask(host: &SimulatedHost, request: ClientRequest<'_>) -> (u16, Value) {
    let (status, body) = host.http(HttpMode::Proxying, request).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}
