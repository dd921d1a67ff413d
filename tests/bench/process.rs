//! Processes of the benchmark: started, pinned to a processor, measured, ended.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
};

use tokio::process::{Child, Command};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Prints a line.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The machine on which the figures were measured.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Version {version}, {cores} x {model}, {}\n",
        std::env::consts::OS
    )
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// A command on the first processor, if `taskset` is available.
///
/// The load runs on the others.
pub(crate) fn pinned(program: &Path) -> Command {
    let has_taskset = std::process::Command::new("taskset")
        .arg("--version")
        .output()
        .is_ok();
    let mut command = if has_taskset {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Keeps this process off the first processor, where there are two.
pub(crate) fn make_room() {
    let id = std::process::id().to_string();
    let _ = std::process::Command::new("taskset")
        .args(["-a", "-p", "-c", "1-63", &id])
        .output();
}

/// Resident memory of a process in KiB; 0 where it cannot be read.
pub(crate) fn resident_kib(id: u32) -> u64 {
    of_status(id, "VmRSS:")
}

/// The peak resident memory of a process in KiB.
pub(crate) fn peak_kib(id: u32) -> u64 {
    of_status(id, "VmHWM:")
}

fn of_status(id: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or_default()
}

/// Ends a process and waits for it.
pub(crate) async fn end(mut child: Child) -> Result<(), Failure> {
    Ok(child.kill().await?)
}
