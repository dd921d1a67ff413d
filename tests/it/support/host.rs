//! The Functions host, as far as a custom handler can see it.
//!
//! It reads `host.json`, starts the executable, waits until it answers, forwards or
//! wraps calls, restarts it, and sorts its output by level.

mod description;
mod process;
mod request;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::wire::{self, Completed, InvocationFailure};
use process::{child_variables, spawn};
use request::rebuild_query;

pub use description::{CustomHandler, HostConfigurationError, HttpMode};
pub use process::{ClosedPort, ConsoleLine, free_port, invocation_id};
pub use request::{ClientRequest, RawReply, build_and_get_uri, post_envelope};

/// Version that the simulated host reports.
pub const HOST_VERSION: &str = "4.1045.200.26071";

/// Longest wait for the handler to become ready.
const INITIALIZATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A running handler under the simulated host.
pub struct SimulatedHost {
    pub port: u16,
    pub root: PathBuf,
    pub ready_after: Duration,
    handler: CustomHandler,
    variables: BTreeMap<String, String>,
    child: Child,
    console: Arc<Mutex<Vec<ConsoleLine>>>,
    readers: Vec<JoinHandle<()>>,
    errors: Vec<Instant>,
    client: reqwest::Client,
}

/// The ways a handler ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AfterExit {
    /// Exit 0: not started again.
    LeftDown,
    /// Started again; exit 200 is not counted as an error.
    Restarted,
    /// Three errors: the host stops itself.
    HostStopped,
}

impl SimulatedHost {
    /// Starts a package as the host would and waits until it answers.
    pub async fn start(root: &Path, variables: &[(&str, String)]) -> Self {
        Self::try_start(root, variables)
            .await
            .unwrap_or_else(|(status, console)| panic!("not ready: {status:?} {console:#?}"))
    }

    /// Like `start`, but returns the exit status and output of a handler that ended.
    pub async fn try_start(
        root: &Path,
        variables: &[(&str, String)],
    ) -> Result<Self, (Option<ExitStatus>, Vec<ConsoleLine>)> {
        let overrides = variables
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let handler = CustomHandler::read(root, &overrides).expect("a usable host.json");
        let port = handler.port.unwrap_or_else(free_port);
        let variables = child_variables(root, port, variables);
        let console = Arc::default();
        let started = Instant::now();
        let (child, readers) = spawn(&handler, root, &variables, &console);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let mut host = Self {
            port,
            root: root.to_owned(),
            ready_after: Duration::ZERO,
            handler,
            variables,
            child,
            console,
            readers,
            errors: Vec::new(),
            client,
        };
        host.wait_until_ready()
            .await
            .map_err(|status| (status, host.console()))?;
        host.ready_after = started.elapsed();
        Ok(host)
    }

    /// The URL of a path at the handler.
    pub fn url(&self, path: &str) -> String {
        build_and_get_uri(self.port, path)
    }

    /// Polls `GET /` every 25 ms; any HTTP answer counts, a socket error does not.
    async fn wait_until_ready(&mut self) -> Result<(), Option<ExitStatus>> {
        let deadline = Instant::now() + INITIALIZATION_TIMEOUT;
        while Instant::now() < deadline {
            if self.client.get(self.url("")).send().await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                self.let_output_end().await;
                return Err(Some(status));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(None)
    }

    async fn let_output_end(&self) {
        let mut last = usize::MAX;
        while last != self.console().len() {
            last = self.console().len();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Posts an envelope and reads the reply as the host does.
    pub async fn invoke(
        &self,
        function: &str,
        envelope: &Value,
    ) -> Result<Completed, InvocationFailure> {
        self.post_envelope(function, envelope).await?.read()
    }

    /// Like `invoke`, with the reply unread.
    pub async fn post_envelope(
        &self,
        function: &str,
        envelope: &Value,
    ) -> Result<RawReply, InvocationFailure> {
        post_envelope(&self.client, self.port, function, envelope).await
    }

    /// Sends a client's HTTP request by `mode`; returns the status and body.
    pub async fn http(&self, mode: HttpMode, request: ClientRequest<'_>) -> (u16, String) {
        match mode {
            HttpMode::Envelope => {
                let envelope = wire::http_envelope(
                    request.method,
                    request.target,
                    request.headers,
                    request.body,
                );
                match self.invoke("hash_lookup", &envelope).await {
                    Ok(completed) => wire::bind_http(completed.outputs.get("res"))
                        .unwrap_or((500, String::new())),
                    Err(_) => (500, String::new()),
                }
            }
            HttpMode::Forwarding | HttpMode::Proxying => {
                let response = self.forward(mode, request).await;
                (
                    response.status().as_u16(),
                    response.text().await.unwrap_or_default(),
                )
            }
        }
    }

    /// Forwards or proxies a client's HTTP request.
    ///
    /// Forwarding adds the host's headers after the client's. Proxying replaces them, and
    /// tries again while the handler is down.
    pub async fn forward(&self, mode: HttpMode, request: ClientRequest<'_>) -> reqwest::Response {
        let mut wait = Duration::from_millis(50);
        for _ in 0..10 {
            match self.forward_once(mode, request).send().await {
                Ok(response) => return response,
                Err(error) if error.is_connect() && mode == HttpMode::Proxying => {
                    tokio::time::sleep(wait).await
                }
                Err(error) => panic!("handler unreachable: {error}"),
            }
            wait = (wait * 2).min(Duration::from_millis(250));
        }
        panic!("ForwarderError: 10 tries")
    }

    fn forward_once(&self, mode: HttpMode, request: ClientRequest<'_>) -> reqwest::RequestBuilder {
        let method = request.method.parse().expect("a method");
        let target = match mode {
            HttpMode::Forwarding => rebuild_query(request.target),
            HttpMode::Proxying | HttpMode::Envelope => request.target.to_owned(),
        };
        let mut sent = self
            .client
            .request(method, self.url(target.trim_start_matches('/')));
        if mode == HttpMode::Forwarding {
            let agent = format!("client/1.0 Azure-Functions-Host/{HOST_VERSION}");
            sent = sent
                .header("Host", "app.azurewebsites.net")
                .header("User-Agent", agent);
        }
        for (name, value) in request.headers {
            let of_host = name.to_ascii_lowercase().starts_with("x-azure-functions-");
            if mode == HttpMode::Forwarding || !of_host {
                sent = sent.header(*name, *value);
            }
        }
        let id = invocation_id();
        sent = sent
            .header("X-Azure-Functions-HostVersion", HOST_VERSION)
            .header("X-Azure-Functions-InvocationId", &id);
        if mode == HttpMode::Proxying {
            sent = sent.header("x-ms-invocation-id", id);
        }
        match request.body {
            Some(body) => sent.body(body.to_owned()),
            None => sent,
        }
    }

    /// The lines that the handler has written, by level.
    pub fn console(&self) -> Vec<ConsoleLine> {
        self.console.lock().expect("no panic while held").clone()
    }

    /// Waits until a line satisfies the test.
    pub async fn console_line(&self, wanted: impl Fn(&ConsoleLine) -> bool) -> ConsoleLine {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(line) = self.console().into_iter().find(|line| wanted(line)) {
                return line;
            }
            assert!(
                Instant::now() < deadline,
                "no such line: {:#?}",
                self.console()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lines that the host would count as warnings or errors.
    pub fn complaints(&self) -> Vec<ConsoleLine> {
        self.console()
            .into_iter()
            .filter(|line| line.level != "Information")
            .collect()
    }

    /// SIGKILL, as the host ends a handler.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// The process id of the handler.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Peak memory of the handler in MiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a peak");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            / 1_024
    }

    /// Waits for the handler to end and reacts as the host does.
    pub async fn after_exit(&mut self) -> AfterExit {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        match status.code() {
            Some(0) => return AfterExit::LeftDown,
            Some(200) => {}
            _ => {
                if self
                    .errors
                    .last()
                    .is_some_and(|last| last.elapsed() > Duration::from_secs(30 * 60))
                {
                    self.errors.clear();
                }
                self.errors.push(Instant::now());
                if self.errors.len() >= 3 {
                    return AfterExit::HostStopped;
                }
            }
        }
        let (child, readers) = spawn(&self.handler, &self.root, &self.variables, &self.console);
        self.child = child;
        self.readers.extend(readers);
        self.wait_until_ready().await.expect("ready again");
        AfterExit::Restarted
    }
}

impl Drop for SimulatedHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        super::app::check_no_secret(&self.console());
    }
}
