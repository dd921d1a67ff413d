//! The benchmark: the product against a bare axum server, in one run.
//!
//! `make bench` builds both for release and runs this. Every figure that has a
//! target is a ratio within the run, a count or a size, so it has the same meaning
//! on another machine. docs/benchmarks.md records the figures that were measured.

mod cases;
mod coverage;
mod load;
mod process;
mod vdi;

use std::{path::PathBuf, process::ExitCode};

use process::Failure;

/// One line of the result: the figure, the measured value, the target.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) seen: String,
    pub(crate) target: &'static str,
    /// True if the target is met; `None` where there is no target.
    pub(crate) met: Option<bool>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("cache") {
        return cases::fill_cache();
    }
    let only = first;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(only.as_deref())));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            process::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs every case, or the named one; returns true if all targets are met.
async fn measure(only: Option<&str>) -> Result<bool, Failure> {
    process::say(&process::machine());
    process::say("| figure | seen | target | |\n|---|---|---|---|");
    let release = PathBuf::from(std::env::current_exe()?.parent().ok_or("no folder")?);
    let product = release.join("../package/defender-functions");
    let bench = cases::Bench { release, product };
    let mut met = true;
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let mut print = |rows: Vec<Row>| {
        for row in rows {
            let mark = match row.met {
                Some(true) => "met",
                Some(false) => "NOT met",
                None => "",
            };
            met &= row.met != Some(false);
            process::say(&format!(
                "| {} | {} | {} | {mark} |",
                row.what, row.seen, row.target
            ));
        }
    };
    if wanted("size") {
        print(bench.size()?);
    }
    if wanted("start") {
        print(bench.start().await?);
    }
    if wanted("cached") {
        print(bench.cached().await?);
    }
    if wanted("list") {
        print(bench.list().await?);
    }
    if wanted("limited") {
        print(bench.limited().await?);
    }
    if wanted("memory") {
        print(bench.memory()?);
    }
    if wanted("coverage") {
        print(coverage::measure(&bench).await?);
    }
    if wanted("vdi") {
        print(vdi::measure(&bench).await?);
    }
    Ok(met)
}
