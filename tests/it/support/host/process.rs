//! The process of the handler: variables, start, output and ports.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use super::description::CustomHandler;

/// One line that the handler wrote, with the level the host assigns to it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleLine {
    pub level: &'static str,
    pub text: String,
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

pub(super) fn child_variables(
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

pub(super) fn spawn(
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
