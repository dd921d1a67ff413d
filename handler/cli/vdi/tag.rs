//! `vdi tag`: adds the tag to devices without it.

use std::io::Write;

use clap::Args;
use functions::report::text::visible;
use tokio::time::Instant;

use super::TIME;
use crate::cli::{Exit, run, say};
use crate::services::vdi::{Tagged, Vdi};

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// Only list the devices that would be tagged; the default
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Add the tag
    #[arg(long)]
    pub(super) apply: bool,
    /// Log what happens, on standard error
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// One line a device on standard output.
pub(super) async fn add_tags(service: &Vdi, apply: bool) -> Exit {
    let report = match service
        .report(Instant::now() + TIME.reading, None, None)
        .await
    {
        Ok(report) => report,
        Err(error) => return run::failed(&error),
    };
    for reason in &report.summary.reasons {
        say(&format!("NOT complete: {}", visible(reason)));
    }
    if report.summary.counts.untagged.is_none() {
        say("error: no device record could be read, so nothing is tagged");
        return Exit::Incomplete;
    }
    let (devices, tag) = (&report.untagged, service.tag());
    let mut failed = false;
    if apply {
        let print_batch = |batch: Tagged<'_>| {
            failed |= batch.outcome.is_err();
            let outcome = match &batch.outcome {
                Ok(()) => "tagged".to_owned(),
                Err(error) => format!("FAILED: {}", visible(&error.detail)),
            };
            lines(batch.devices, &outcome);
        };
        service
            .tag_devices(devices, TIME.reading, print_batch)
            .await;
    } else {
        lines(devices, "would be tagged");
        say(&format!(
            "devices that would get the tag {tag}: {}; `vdi tag --apply` adds it",
            devices.len()
        ));
    }
    if failed || !report.summary.complete {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}

pub(super) fn lines(devices: &[(String, String)], outcome: &str) {
    let mut stdout = std::io::stdout().lock();
    for (id, name) in devices {
        // A closed pipe is not our mistake, and the work continues.
        let _ = writeln!(stdout, "{}\t{}\t{outcome}", visible(id), visible(name));
    }
}
