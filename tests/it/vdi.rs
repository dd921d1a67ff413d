//! The hygiene report of virtual desktops, and the tags, by the real executable.

mod findings;
mod records;
mod runs;
mod sources;
mod tags;

use sandbox::{Sandbox, Tenant, VdiDevice, vdi_estate};
use serde_json::Value;

use crate::support::app;

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
