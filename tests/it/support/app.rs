//! A tenant, with the packaged executable running under the simulated host.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::Duration,
};

use sandbox::{Sandbox, Tenant};
use serde_json::{Value, json};

use super::{
    HttpMode, SimulatedHost,
    host::{ClientRequest, ConsoleLine},
    package,
};

/// The article's own hash; the sandbox has it as malware.
pub const MALWARE: &str = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";

/// The documented sample, unwanted software, by both of its hashes.
pub const PUA: &str = "413c58c8267d2c8648d8f6384bacc2ae9c929b2b96578b6860b5087cd1bd6462";

pub const PUA_SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

/// A file that the sandbox reports as clean.
pub const CLEAN: &str = "a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb";

/// The product, running, and the cloud that it talks to.
pub struct App {
    pub cloud: Sandbox,
    pub host: SimulatedHost,
    client: reqwest::Client,
    /// The folder of its reports, unless a setting names another.
    pub reports: tempfile::TempDir,
}

/// A response of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The code of a problem body, which must be complete.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(
            body["invocationId"]
                .as_str()
                .is_some_and(|id| !id.is_empty())
                && body["detail"].is_string()
        );
        body["code"].as_str().expect("a code").to_owned()
    }
}

impl App {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with more settings.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let cloud = Sandbox::start(Tenant::default())
            .await
            .expect("loopback ports");
        Self::start_on(cloud, settings).await
    }

    /// Starts with callers that need a token of the tenant.
    pub async fn start_guarded(settings: &[(&'static str, &str)]) -> Self {
        let cloud = Sandbox::start(Tenant::default())
            .await
            .expect("loopback ports");
        let guarded = cloud.entra_variables();
        let mut all: Vec<(&'static str, &str)> = guarded
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        all.retain(|(name, _)| settings.iter().all(|(set, _)| set != name));
        all.extend(settings);
        Self::start_on(cloud, &all).await
    }

    /// Starts on an existing cloud; a setting replaces the cloud's own.
    pub async fn start_on(cloud: Sandbox, settings: &[(&'static str, &str)]) -> Self {
        let mut variables = cloud.variables();
        variables.push(("API_AUTH", "off".to_owned()));
        let reports = tempfile::tempdir().expect("a folder");
        variables.push(("REPORTS_URL", reports.path().display().to_string()));
        variables.retain(|(name, _)| settings.iter().all(|(set, _)| set != name));
        variables.extend(
            settings
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let host = SimulatedHost::start(package::unpacked(), &variables).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            cloud,
            host,
            client,
            reports,
        }
    }

    /// `GET /api/hashes/{hash}`; `hash` goes into the path as it is.
    pub async fn get_hash(&self, hash: &str) -> Answer {
        self.send(ClientRequest::get(&format!("/api/hashes/{hash}")))
            .await
    }

    /// `POST /api/hashes` with a list.
    pub async fn post_hashes(&self, hashes: &[&str]) -> Answer {
        self.post(&json!({ "hashes": hashes }).to_string()).await
    }

    /// `POST /api/hashes` with this body.
    pub async fn post(&self, body: &str) -> Answer {
        self.send(ClientRequest::post("/api/hashes", body)).await
    }

    /// Any request, proxied as the newest hosts do.
    pub async fn send(&self, request: ClientRequest<'_>) -> Answer {
        let response = self.host.forward(HttpMode::Proxying, request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.expect("a text"),
        }
    }

    /// A plain client for requests that no host would send.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The number of calls that Defender received.
    pub fn calls(&self) -> usize {
        self.cloud.defender_calls().len()
    }
}

/// Fails a test if a captured log holds a secret: D7, for every test.
pub fn check_no_secret(console: &[ConsoleLine]) {
    for line in console {
        for secret in [
            sandbox::IDENTITY_HEADER,
            "eyJ",
            "made-up-signature",
            "SECRET",
        ] {
            assert!(
                !line.text.contains(secret) || std::thread::panicking(),
                "a secret in the log: {}",
                line.text
            );
        }
    }
}

/// The default tenant, without the slow quota of Resource Graph.
pub async fn cloud() -> Sandbox {
    let cloud = Sandbox::start(Tenant::default()).await;
    let cloud = cloud.expect("loopback ports");
    cloud.set_graph_quota(false);
    cloud
}

/// Starts the executable with nothing but these variables; it ends with its owner.
pub fn spawn(arguments: &[&str], variables: &[(&str, String)]) -> tokio::process::Child {
    let variables = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    tokio::process::Command::new(package::unpacked().join("defender-functions"))
        .args(arguments)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the executable starts")
}

/// Runs the executable to its end with nothing but these variables.
pub fn run(arguments: &[&str], variables: &[(&str, String)], stdin: &str) -> Output {
    let mut child = Command::new(package::unpacked().join("defender-functions"))
        .args(arguments)
        .env_clear()
        .envs(
            variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    // A command that reads no input may have closed the pipe already.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(stream).into_owned();
        check_no_secret(&[ConsoleLine {
            level: "Information",
            text,
        }]);
    }
    output
}

/// Any hash, valid and unknown to the sandbox.
pub fn unknown_hash(number: usize) -> String {
    format!("{number:064x}")
}

/// A time limit of a test's own, so that a hang is a failure.
pub async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .expect("in time")
}
