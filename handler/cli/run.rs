//! `run`: a timer function once, for cron and for trying it.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use functions::report::{run::Slot, text::visible};
use time::OffsetDateTime;

use super::{Exit, log, say, with_services, workbook::Format};
use crate::{
    routes::report::TIMER,
    services::reports::{self, History, Published, Report, RunError},
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The timer function, by the name of its folder
    #[arg(value_enum)]
    function: Function,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Function {
    /// Writes the coverage report into `REPORTS_URL`
    CoverageReport,
    /// Writes the report on virtual desktops into `VDI_REPORTS_URL`
    VdiReport,
    /// Looks at the saved Coverage workbooks; writes them with `WORKBOOK_REPAIR`
    CoverageWorkbook,
}

pub(super) fn run(args: &RunArgs, variables: &BTreeMap<String, String>) -> Exit {
    log(args.verbose);
    let interrupted = "interrupted; the next run finishes or starts over";
    with_services(variables, interrupted, |_, services| async move {
        match args.function {
            Function::CoverageReport => report(&*services.coverage).await,
            Function::VdiReport => report(&*services.vdi).await,
            Function::CoverageWorkbook => {
                super::workbook::inspect(&services.workbooks, Format::Table).await
            }
        }
    })
}

async fn report<R: Report>(service: &R) -> Exit {
    let slot = reports::slot(None, OffsetDateTime::now_utc());
    match reports::run(service, R::Request::default(), &slot, TIMER).await {
        Ok((published, _)) => written(&slot, &published, &service.runs().history),
        Err(error) => failed(&error),
    }
}

/// Tells where a run lies, and what it could not read.
pub(super) fn written(slot: &Slot, published: &Published, history: &History) -> Exit {
    let manifest = published.manifest();
    let done = match published {
        Published::Written(_) => "wrote",
        Published::AlreadyThere(_) => "was already done:",
    };
    say(&format!(
        "run {slot} {done} {}/{}",
        history.location(),
        manifest.folder
    ));
    for reason in &manifest.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if manifest.complete {
        Exit::Whole
    } else {
        Exit::Incomplete
    }
}

/// Tells why there is no run.
pub(super) fn failed(error: &RunError) -> Exit {
    if let RunError::Storage(error) = error {
        tracing::debug!(
            code = error.code.as_str(),
            cause = error.cause,
            "storage failed"
        );
    }
    say(&format!("error: {}", visible(&error.to_string())));
    match error {
        RunError::Off(_) => Exit::Unusable,
        _ => Exit::Incomplete,
    }
}
