//! The Functions host, as far as a custom handler can see it.
//!
//! It reads `host.json`, starts the executable, waits until it answers, forwards or
//! wraps calls, restarts it, and sorts its output by level.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::wire::{self, Completed, InvocationFailure};

/// Version that the simulated host reports.
pub const HOST_VERSION: &str = "4.1045.200.26071";

/// Longest wait for the handler to become ready.
const INITIALIZATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The ways to reach an HTTP function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMode {
    Envelope,
    Forwarding,
    Proxying,
}

/// `customHandler` of `host.json` as the host binds it.
#[derive(Clone, Debug)]
pub struct CustomHandler {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub port: Option<u16>,
    pub mode: HttpMode,
}

/// The reason the host does not start a handler.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfigurationError(pub String);

impl CustomHandler {
    /// Reads `host.json` and joins paths as the host does.
    ///
    /// `overrides` are environment settings such as
    /// `AzureFunctionsJobHost__customHandler__port`.
    pub fn read(root: &Path, overrides: &Overrides<'_>) -> Result<Self, HostConfigurationError> {
        let text = std::fs::read(root.join("host.json")).map_err(refuse("host.json is missing"))?;
        let host: Value = serde_json::from_slice(&text).map_err(refuse("host.json is not JSON"))?;
        if host["version"] != "2.0" {
            return Err(refuse("host.json has another version")(()));
        }
        let handler = &host["customHandler"];
        if !handler["description"].is_object() {
            return Err(refuse("Missing WorkerDescription for HttpWorker")(()));
        }
        let flag = |name: &str| handler[name] == true;
        Ok(Self {
            executable: executable(root, &handler["description"], overrides)?,
            arguments: arguments(&handler["description"], overrides)?,
            port: port(handler, overrides)?,
            mode: match (
                flag("enableProxyingHttpRequest"),
                flag("enableForwardingHttpRequest"),
            ) {
                (true, _) => HttpMode::Proxying,
                (false, true) => HttpMode::Forwarding,
                (false, false) => HttpMode::Envelope,
            },
        })
    }
}

type Overrides<'a> = BTreeMap<&'a str, String>;

fn refuse<E>(why: &'static str) -> impl FnOnce(E) -> HostConfigurationError {
    move |_| HostConfigurationError(why.to_owned())
}

/// The path of the executable as the host finds it.
///
/// `%VAR%` is expanded; a relative path is joined to the worker directory; a
/// missing file is looked up on the search path.
fn executable(
    root: &Path,
    description: &Value,
    overrides: &Overrides<'_>,
) -> Result<PathBuf, HostConfigurationError> {
    let path = description["defaultExecutablePath"]
        .as_str()
        .filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| refuse("defaultExecutablePath is required")(()))?;
    let expand =
        |path: String, (name, value): (&&str, &String)| path.replace(&format!("%{name}%"), value);
    let path = overrides.iter().fold(path.to_owned(), expand);
    let joined = root
        .join(description["workerDirectory"].as_str().unwrap_or_default())
        .join(&path);
    Ok(if joined.is_file() {
        joined
    } else {
        PathBuf::from(path)
    })
}

fn arguments(
    description: &Value,
    overrides: &Overrides<'_>,
) -> Result<Vec<String>, HostConfigurationError> {
    match overrides.get("AzureFunctionsJobHost__customHandler__description__arguments") {
        Some(json) => serde_json::from_str(json).map_err(refuse("arguments are not a JSON array")),
        None if description["arguments"].is_null() => Ok(Vec::new()),
        None => serde_json::from_value(description["arguments"].clone())
            .map_err(refuse("arguments are not texts")),
    }
}

fn port(handler: &Value, overrides: &Overrides<'_>) -> Result<Option<u16>, HostConfigurationError> {
    let text = match (
        overrides.get("AzureFunctionsJobHost__customHandler__port"),
        &handler["port"],
    ) {
        (Some(text), _) => text.clone(),
        (None, Value::Null) => return Ok(None),
        (None, Value::String(text)) => text.clone(),
        (None, number) => number.to_string(),
    };
    text.parse()
        .map(Some)
        .map_err(refuse("port is not a number"))
}

/// One line that the handler wrote, with the level the host assigns to it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleLine {
    pub level: &'static str,
    pub text: String,
}

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

/// A reply, unread.
#[derive(Clone, Debug)]
pub struct RawReply {
    pub invocation_id: String,
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl RawReply {
    /// Reads the reply as the host does.
    pub fn read(&self) -> Result<Completed, InvocationFailure> {
        wire::read_reply(self.status, self.content_type.as_deref(), &self.body)
    }
}

/// Posts an envelope as the host does: chunked and without a length.
pub async fn post_envelope(
    client: &reqwest::Client,
    port: u16,
    function: &str,
    envelope: &Value,
) -> Result<RawReply, InvocationFailure> {
    let failure = |error: reqwest::Error| InvocationFailure::HttpRequest(error.to_string());
    let invocation_id = invocation_id();
    let piece = Ok::<_, std::io::Error>(envelope.to_string());
    let response = client
        .post(build_and_get_uri(port, function))
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-Azure-Functions-HostVersion", HOST_VERSION)
        .header("X-Azure-Functions-InvocationId", &invocation_id)
        .header("User-Agent", format!("Azure-Functions-Host/{HOST_VERSION}"))
        .body(reqwest::Body::wrap_stream(futures::stream::iter([piece])))
        .send()
        .await
        .map_err(failure)?;
    Ok(RawReply {
        invocation_id,
        status: response.status().as_u16(),
        content_type: response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        body: response.bytes().await.map_err(failure)?.to_vec(),
    })
}

/// A request of a client of the function app.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a str>,
}

impl<'a> ClientRequest<'a> {
    pub fn get(target: &'a str) -> Self {
        Self {
            method: "GET",
            target,
            headers: &[],
            body: None,
        }
    }

    pub fn post(target: &'a str, body: &'a str) -> Self {
        Self {
            method: "POST",
            target,
            headers: &[("Content-Type", "application/json")],
            body: Some(body),
        }
    }

    pub fn with(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A query as a forwarding host rewrites it: repeated keys joined by a comma.
fn rebuild_query(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => joined.push((name.into_owned(), value.into_owned())),
        }
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(joined)
        .finish();
    format!("{path}?{query}")
}

/// The base URL with a path.
pub fn build_and_get_uri(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}/{path}")
}

/// The level that the host assigns to a line of the handler's output.
pub fn level_of(from_stderr: bool, line: &str) -> &'static str {
    match (from_stderr, line.to_lowercase().contains("warn")) {
        (false, _) => "Information",
        (true, true) => "Warning",
        (true, false) => "Error",
    }
}

/// A new invocation id.
pub fn invocation_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A port that was free a moment ago, found as the host finds it.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A port that refuses connections as long as this lives: bound, so that no other server
/// gets it, and not listening.
#[derive(Debug)]
pub struct ClosedPort {
    socket: tokio::net::TcpSocket,
}

impl ClosedPort {
    /// Takes a port.
    pub fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let address = ([127, 0, 0, 1], 0).into();
        socket.bind(address).expect("a free port");
        Self { socket }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.socket.local_addr().expect("bound").port()
    }
}

fn child_variables(
    root: &Path,
    port: u16,
    variables: &[(&str, String)],
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let worker_id = invocation_id();
    for (name, value) in [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string()),
        ("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", worker_id.clone()),
        ("FUNCTIONS_HTTPWORKER_PORT", port.to_string()),
        ("FUNCTIONS_HTTPWORKER_ID", worker_id),
        ("FUNCTIONS_APP_ROOT_PATH", root.display().to_string()),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

fn spawn(
    handler: &CustomHandler,
    root: &Path,
    variables: &BTreeMap<String, String>,
    console: &Arc<Mutex<Vec<ConsoleLine>>>,
) -> (Child, Vec<JoinHandle<()>>) {
    let mut child = Command::new(&handler.executable)
        .args(&handler.arguments)
        .current_dir(root)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the executable starts");
    let stdout = collect(child.stdout.take().expect("piped"), false, console);
    let stderr = collect(child.stderr.take().expect("piped"), true, console);
    (child, vec![stdout, stderr])
}

fn collect(
    stream: impl std::io::Read + Send + 'static,
    from_stderr: bool,
    console: &Arc<Mutex<Vec<ConsoleLine>>>,
) -> JoinHandle<()> {
    let console = Arc::clone(console);
    std::thread::spawn(move || {
        for text in BufReader::new(stream).lines().map_while(Result::ok) {
            let level = level_of(from_stderr, &text);
            console
                .lock()
                .expect("no panic while held")
                .push(ConsoleLine { level, text });
        }
    })
}
