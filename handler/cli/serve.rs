//! Serving: under the Functions host, or alone on loopback.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, time::Duration};

use axum::ServiceExt;
use clap::Args;
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tracing::level_filters::LevelFilter;

use super::{Exit, block_on, refuse, say};
use crate::{
    config::{ApiAuth, Config, ConfigProblems, Purpose},
    router,
    services::Services,
    telemetry::{self, Reader},
};

/// Time that running requests get to end after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// Functions that may be anonymous although the host's keys are the gate.
const ANONYMOUS: [&str; 3] = ["health", "explorer", "teams_bot"];

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Serves the Functions host on the port that it gave.
pub(super) fn under_host(port: u16, variables: &BTreeMap<String, String>) -> Exit {
    telemetry::start(Reader::Host, LevelFilter::INFO);
    match settings(variables) {
        Ok(config) => block_on(serve(&config, port, Reader::Host)),
        Err(problems) => refuse(Reader::Host, &problems),
    }
}

/// Serves on loopback for a person.
pub(super) fn alone(args: &ServeArgs, variables: &BTreeMap<String, String>) -> Exit {
    telemetry::start(Reader::Person, LevelFilter::INFO);
    match settings(variables) {
        Ok(config) => block_on(serve(&config, args.port, Reader::Person)),
        Err(problems) => refuse(Reader::Person, &problems),
    }
}

fn settings(variables: &BTreeMap<String, String>) -> Result<Config, ConfigProblems> {
    let config = Config::read(variables, Purpose::Serve)?;
    if config.in_azure && config.api_auth == ApiAuth::Host {
        let open = anonymous_functions(Path::new(config.app_root.as_deref().unwrap_or(".")));
        if !open.is_empty() {
            return Err(ConfigProblems(vec![format!(
                "`API_AUTH` is `host`, but these functions are anonymous, so anybody could call them: {}; \
                 package with another `authLevel`",
                open.join(", ")
            )]));
        }
    }
    Ok(config)
}

/// HTTP functions of the package that the host lets anybody call, where that
/// is not meant.
fn anonymous_functions(root: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut open: Vec<String> = folders
        .filter_map(|folder| {
            let name = folder.file_name().into_string().ok()?;
            let text = std::fs::read(folder.path().join("function.json")).ok()?;
            let function: Value = serde_json::from_slice(&text).ok()?;
            let trigger = function["bindings"]
                .as_array()?
                .iter()
                .find(|binding| binding["type"] == "httpTrigger")?;
            let closed = ["function", "admin"]
                .contains(&trigger["authLevel"].as_str().unwrap_or("function"));
            (!closed && !ANONYMOUS.contains(&name.as_str())).then_some(name)
        })
        .collect();
    open.sort();
    open
}

async fn serve(config: &Config, port: u16, reader: Reader) -> Exit {
    let app = match router::app(Services::new(config)) {
        Ok(app) => app,
        Err(error) => return refuse(reader, &ConfigProblems(vec![error.to_string()])),
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
    let (told, stop) = oneshot::channel();
    let running = axum::serve(listener, app.into_make_service()).with_graceful_shutdown(async {
        signal().await;
        let _ = told.send(());
    });
    let serving = tokio::spawn(running.into_future());
    let _ = stop.await;
    let _ = timeout(GRACE, serving).await;
    match reader {
        // Never 0 under the host: it would not start the handler again.
        Reader::Host => Exit::Restart,
        Reader::Person => Exit::Whole,
    }
}

fn announce(listener: &TcpListener, reader: Reader) {
    let port = listener
        .local_addr()
        .map(|address| address.port())
        .unwrap_or_default();
    tracing::info!(port, version = env!("CARGO_PKG_VERSION"), "serving");
    if reader == Reader::Person {
        say(&format!(
            "http://127.0.0.1:{port}/api/hashes/HASH answers until Ctrl-C"
        ));
    }
}

/// Ends when the process is asked to end: Ctrl-C or SIGTERM.
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
