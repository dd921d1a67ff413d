//! Serving: under the Functions host, or by itself on loopback.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, sync::Arc};

use clap::Args;
use serde_json::Value;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;

use super::{Exit, block_on, refuse, say};
use crate::{
    config::{ApiAuth, Config, ConfigProblems, Purpose, UnknownSetting},
    functions::{self, Function},
    outbound::{HttpClient, TimeLimits},
    server::listen,
    telemetry::{self, LogAudience},
};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Port on 127.0.0.1; 0 picks a free one [default: 8080]
    #[arg(long)]
    port: Option<u16>,
}

impl ServeArgs {
    /// Returns true if a port was given, regardless of the Functions host.
    pub(super) fn names_a_port(&self) -> bool {
        self.port.is_some()
    }
}

/// The default port of `serve`.
const DEFAULT_PORT: u16 = 8080;

/// Serves the Functions host on the port that it gave.
pub(super) fn under_host(
    port: Result<Option<u16>, ConfigProblems>,
    variables: &BTreeMap<String, String>,
) -> Exit {
    telemetry::start(LogAudience::Host, LevelFilter::INFO);
    let port = match port {
        Ok(Some(port)) => port,
        Ok(None) => {
            say(
                "error: no command, and `FUNCTIONS_CUSTOMHANDLER_PORT` is not set: let the Functions host start this, or see --help",
            );
            return Exit::Unusable;
        }
        Err(problems) => return refuse(LogAudience::Host, &problems),
    };
    match settings(variables, Purpose::Host) {
        Ok(config) => {
            log_unknown(&config.unknown);
            block_on(serve(&config, port, LogAudience::Host))
        }
        Err(problems) => refuse(LogAudience::Host, &problems),
    }
}

/// Serves on loopback for a person.
pub(super) fn by_itself(args: &ServeArgs, variables: &BTreeMap<String, String>) -> Exit {
    telemetry::start(LogAudience::Person, LevelFilter::INFO);
    match settings(variables, Purpose::Serve) {
        Ok(config) => block_on(serve(
            &config,
            args.port.unwrap_or(DEFAULT_PORT),
            LogAudience::Person,
        )),
        Err(problems) => refuse(LogAudience::Person, &problems),
    }
}

/// Logs unknown settings in one line. They do not end the process, because an upgrade
/// or a rollback finds settings of another version.
fn log_unknown(unknown: &[UnknownSetting]) {
    if unknown.is_empty() {
        return;
    }
    let lines: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    tracing::error!(
        code = "unknown_setting",
        count = unknown.len(),
        "{}; the settings without it are used",
        lines.join("; ")
    );
}

fn settings(
    variables: &BTreeMap<String, String>,
    purpose: Purpose,
) -> Result<Config, ConfigProblems> {
    let config = Config::read(variables, purpose)?;
    if config.platform.in_azure && config.callers.auth == ApiAuth::Host {
        guarded_by_keys(Path::new(
            config.platform.app_root.as_deref().unwrap_or("."),
        ))?;
    }
    Ok(config)
}

/// Checks that the host lets no one call an HTTP function of the package without a
/// key. What cannot be read counts as open.
fn guarded_by_keys(root: &Path) -> Result<(), ConfigProblems> {
    let problem = |line: String| ConfigProblems(vec![line]);
    let unreadable = |error| {
        problem(format!(
            "`API_AUTH` is `host`, but the package at `{}` cannot be checked: {error}",
            root.display()
        ))
    };
    let folders = std::fs::read_dir(root).map_err(unreadable)?.flatten();
    let functions: Vec<_> = folders
        .filter(|folder| folder.path().join("function.json").exists())
        .collect();
    let mut open: Vec<String> = functions
        .iter()
        .filter(|folder| needs_no_key(&folder.path().join("function.json")))
        .map(|folder| folder.file_name().to_string_lossy().into_owned())
        .filter(|name| !Function::named(name).is_some_and(Function::may_be_anonymous))
        .collect();
    open.sort();
    match (functions.is_empty(), open.is_empty()) {
        (false, true) => Ok(()),
        (true, _) => Err(problem(format!(
            "`API_AUTH` is `host`, but there is no function at `{}` to check",
            root.display()
        ))),
        (false, false) => Err(problem(format!(
            "`API_AUTH` is `host`, but anyone could call {}: package with AUTH_LEVEL=function, or use `API_AUTH=entra`",
            open.join(", ")
        ))),
    }
}

fn needs_no_key(function: &Path) -> bool {
    let text = std::fs::read(function).unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let Ok(function) = serde_json::from_slice::<Value>(text) else {
        return true;
    };
    let is = |value: &Value, word: &str| {
        value
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    let Some(bindings) = function["bindings"].as_array() else {
        return true;
    };
    let mut triggers = bindings
        .iter()
        .filter(|binding| is(&binding["type"], "httpTrigger"));
    // The host's default is `function`.
    triggers.any(|trigger| {
        let level = &trigger["authLevel"];
        !level.is_null() && !is(level, "function") && !is(level, "admin")
    })
}

async fn serve(config: &Config, port: u16, reader: LogAudience) -> Exit {
    let http = Arc::new(HttpClient::new(TimeLimits::default()));
    let app = match functions::app(config, http) {
        Ok(app) => app,
        Err(error) => return refuse(reader, &ConfigProblems(vec![error.to_string()])),
    };
    // Under the host, it decides which names reach us.
    let is_local = reader == LogAudience::Person && config.callers.auth == ApiAuth::Off;
    let app = if is_local {
        app.for_this_machine()
    } else {
        app
    };
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            return refuse(
                reader,
                &ConfigProblems(vec![format!(
                    "port {port} on 127.0.0.1 cannot be used: {error}"
                )]),
            );
        }
    };
    announce(&listener, reader);
    listen::serve(listener, app, listen::HEADER_TIME, signal()).await;
    match reader {
        // Never 0 under the host: it would not start the handler again.
        LogAudience::Host => Exit::Restart,
        LogAudience::Person => Exit::Complete,
    }
}

fn announce(listener: &TcpListener, reader: LogAudience) {
    let port = listener
        .local_addr()
        .map(|address| address.port())
        .unwrap_or_default();
    tracing::info!(
        code = "serving",
        port,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    if reader == LogAudience::Person {
        say(&format!(
            "http://127.0.0.1:{port}/api/hashes/HASH answers until Ctrl-C"
        ));
    }
}

/// Completes on Ctrl-C or SIGTERM.
async fn signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let Ok(mut terminated) =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        else {
            let _ = interrupted.await;
            return;
        };
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupted.await;
}
