//! The demo: the product on the embedded Microsoft cloud, only on this machine.
//!
//! It starts the sandbox, then itself again as the product (first argument
//! `product`) with an environment that holds the sandbox's settings and nothing
//! else: no real credential can be read.

use std::{
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use clap::Parser;
use sandbox::{Estate, Sandbox, Tenant, Workbook};
use tokio::process::{Child, Command};

const MALWARE: &str = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";

/// A saved copy of the Coverage workbook that does not have Defender for AI yet.
const WORKBOOK: &str = include_str!("../data/workbooks/coverage.workbook.json");

/// The folder of the demo's reports.
const REPORTS: &str = "demo-reports";

/// Shows Defender Functions on an embedded stand-in for Microsoft's services.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Port of the HTTP API on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// End after the story instead of serving
    #[arg(long)]
    once: bool,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "product") {
        arguments.remove(1);
        return handler::cli::main(arguments, handler::config::environment());
    }
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

async fn run(options: &Options) -> Result<(), Failure> {
    let cloud = Sandbox::start(Tenant::default()).await?;
    cloud.set_roles(&[
        "File.Read.All",
        "Alert.Read.All",
        "Machine.Read.All",
        "Ti.ReadWrite.All",
        "ThreatHunting.Read.All",
    ]);
    cloud.set_workbooks(vec![Workbook::new(1, 1, "Coverage", WORKBOOK)]);
    let port = if options.once { 0 } else { options.port };
    let port = free(port).map_err(|error| {
        format!("port {port} cannot be used ({error}); take another with ARGS=--port=N")
    })?;
    let mut service = product(&cloud, &["serve", "--port", &port.to_string()])?
        .stderr(Stdio::null())
        .spawn()?;
    wait_until_it_answers(&mut service, port).await?;

    show(&[
        "Defender Functions, on an embedded stand-in for Microsoft's services on this machine.",
        "The hashes are from a real advisory; Defender's answers about them are made up.",
        "",
        "$ defender-functions lookup --file tests/demo/advisory.txt",
    ])?;
    let advisory = Path::new(env!("CARGO_MANIFEST_DIR")).join("advisory.txt");
    product(&cloud, &["lookup", "--file"])?
        .arg(advisory)
        .status()
        .await?;

    show(&[
        "",
        "A Sentinel playbook posts its incident and gets the comment to write:",
        "",
        &format!(
            "$ curl '{}' \\\n    -H 'Content-Type: application/json' -d @tests/data/sentinel/incident.json",
            incident_url(port)
        ),
    ])?;
    show(&[&comment(port).await?])?;

    reports(&cloud).await?;

    if !options.once {
        serve_on(port, &mut service).await?;
    }
    service.kill().await?;
    Ok(())
}

/// Prints what to try next, and serves until Ctrl-C.
async fn serve_on(port: u16, service: &mut Child) -> Result<(), Failure> {
    show(&["", "Try next, in another terminal:"])?;
    show(
        &next_steps(port)
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )?;
    show(&[
        "",
        &format!("Open http://127.0.0.1:{port}/api/explorer and paste an advisory."),
        &format!("Open http://127.0.0.1:{port}/api/coverage/coverage.html for the newest report,"),
        &format!("and http://127.0.0.1:{port}/api/vdi/vdi.html for the one on virtual desktops."),
        &format!("Serving on http://127.0.0.1:{port} until Ctrl-C."),
    ])?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = service.wait() => return Err("the service ended".into()),
    }
    Ok(())
}

/// The coverage report of two days, with what changed in between.
async fn reports(cloud: &Sandbox) -> Result<(), Failure> {
    show(&[
        "",
        "Which subscriptions have Defender for AI? A timer records that in a history; here it runs manually:",
        "",
        "$ defender-functions run coverage_report",
    ])?;
    product(cloud, &["run", "coverage_report"])?
        .status()
        .await?;
    show(&[
        "",
        "Then the plan is turned off in Contoso Production and on in Contoso Sandbox:",
        "",
        "$ defender-functions coverage --since latest",
    ])?;
    let changed = Estate::contoso()
        .with_tier(1, "AI", "Free")
        .plan(4, "AI", "Standard", None);
    cloud.set_estate(changed);
    product(cloud, &["coverage", "--since", "latest"])?
        .status()
        .await?;
    show(&["", "$ defender-functions run coverage_report"])?;
    // Manual runs are named by their second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    product(cloud, &["run", "coverage_report"])?
        .status()
        .await?;
    show(&["", "$ defender-functions coverage workbook"])?;
    product(cloud, &["coverage", "workbook"])?.status().await?;
    virtual_desktops(cloud).await
}

/// An image made after an older guide, and a pool with every finding.
async fn virtual_desktops(cloud: &Sandbox) -> Result<(), Failure> {
    show(&[
        "",
        "Is this golden image, made after an older guide, safe to seal?",
        "",
        "$ defender-functions golden-image assess tests/data/golden-image/evidence.json",
    ])?;
    let evidence = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/golden-image/evidence.json");
    let evidence = evidence.display().to_string();
    product(cloud, &["golden-image", "assess", &evidence])?
        .status()
        .await?;
    show(&[
        "",
        "Which device records of the virtual desktops are wrong?",
        "",
        "$ defender-functions vdi",
    ])?;
    product(cloud, &["vdi"])?.status().await?;
    show(&["", "$ defender-functions vdi tag"])?;
    product(cloud, &["vdi", "tag"])?.status().await?;
    Ok(())
}

fn incident_url(port: u16) -> String {
    format!(
        "http://127.0.0.1:{port}/api/hashes?format=markdown&include=stats,alerts,devices,indicators"
    )
}

/// The comment for the recorded incident, as a playbook gets it.
async fn comment(port: u16) -> Result<String, Failure> {
    let incident = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sentinel/incident.json");
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client
        .post(incident_url(port))
        .header("content-type", "application/json")
        .body(std::fs::read(incident)?);
    let response = request.send().await?.error_for_status()?;
    Ok(response.text().await?)
}

fn next_steps(port: u16) -> Vec<String> {
    let api = format!("http://127.0.0.1:{port}/api/hashes");
    vec![
        format!("  curl {api}/{MALWARE}"),
        format!(
            "  curl {api} -H 'Content-Type: application/json' \\\n    -d '{{\"hashes\":[\"{MALWARE}\",\"d41d8cd98f00b204e9800998ecf8427e\"]}}'"
        ),
        format!("  curl '{api}/{MALWARE}?include=stats,alerts,devices'"),
        format!(
            "  curl '{api}?format=markdown' -H 'Content-Type: application/json' \\\n    -d @tests/data/sentinel/incident.json"
        ),
        format!("  curl {api}/not-a-hash"),
        format!("  curl http://127.0.0.1:{port}/api/coverage/changes.csv"),
        format!("  curl -X POST http://127.0.0.1:{port}/api/coverage"),
        format!("  curl http://127.0.0.1:{port}/api/golden-image/collect-evidence"),
        format!(
            "  curl 'http://127.0.0.1:{port}/api/golden-image?format=markdown' -d @tests/data/golden-image/evidence.json"
        ),
    ]
}

/// This executable as the product, with only the sandbox's settings.
fn product(cloud: &Sandbox, arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("product")
        .args(arguments)
        .env_clear()
        .envs(cloud.variables())
        .kill_on_drop(true);
    let kept = ["NO_COLOR", "TERM", "COLUMNS"];
    command.envs(
        handler::config::environment()
            .into_iter()
            .filter(|(name, _)| kept.contains(&name.as_str())),
    );
    command.env("API_AUTH", "off").env("REPORTS_URL", REPORTS);
    command
        .env("VDI_HOST_PATTERN", "^vdi-")
        .env("GOLDEN_IMAGE_PATTERN", "^gold-");
    Ok(command)
}

/// Returns the port if it is free, or any free port for 0.
fn free(port: u16) -> std::io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?
        .local_addr()
        .map(|address| address.port())
}

async fn wait_until_it_answers(service: &mut Child, port: u16) -> Result<(), Failure> {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_ok()
        {
            return Ok(());
        }
        if let Some(status) = service.try_wait()? {
            return Err(format!("the service ended: {status}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the service does not answer".into())
}

/// Prints lines; a closed pipe ends the demo quietly.
fn show(lines: &[&str]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(stdout, "{line}"))
}
