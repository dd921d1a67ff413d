//! The command `golden-image`: checks that an image is safe to seal. It calls no service,
//! so it needs no identity, and only the two settings that describe an image.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use functions::{
    desktop::{DeviceTag, EntryModel},
    golden_image::{
        Assessment, CheckState, ClockTime, Evidence, Expectation, Folder, MAX_BYTES, Role, Script,
        Startup, UncPath, assess,
    },
    report::text::{json, visible},
};

use super::{Exit, printed, refuse, say, shown, table::fitted};
use crate::{
    config::{self, ImageDefaults},
    telemetry::LogAudience,
};

#[derive(Debug, Subcommand)]
pub(super) enum GoldenImageCommand {
    /// Check the evidence of a machine against the checklist
    ///
    /// Exit codes: 0 safe to seal (a pooled machine: no critical or high item fails), 1 not, 2 the
    /// evidence cannot be read, 3 the evidence lacks something that matters.
    Assess(AssessArgs),
    /// Print a PowerShell script for one step, with your own values in it
    #[command(subcommand)]
    Script(ScriptCommand),
}

/// Every script runs in Windows PowerShell 5.1; those that change something support `-WhatIf`.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum ScriptCommand {
    /// Collect the evidence of a machine; changes nothing
    CollectEvidence,
    /// Put the onboarding scripts into an image and register them for start-up
    StageOnboarding {
        /// Folder of the unpacked onboarding package
        #[arg(long, value_name = "DIR")]
        package: Option<Folder>,
        /// How pooled machines are onboarded: single or multiple entries a device; by default the setting `VDI_ENTRY_MODEL`
        #[arg(long)]
        entry: Option<EntryModel>,
    },
    /// Remove what the sensor left in an image that was onboarded
    CleanImage,
    /// Write the device tag into an image
    DeviceTag {
        /// The tag; by default the setting `VDI_DEVICE_TAG`
        #[arg(long)]
        tag: Option<DeviceTag>,
    },
    /// Point Defender at a share with unpacked security intelligence, or fill that share
    SecurityIntelligence {
        /// The share, such as \\server\share\wdav-update
        #[arg(long, value_name = "UNC")]
        share: Option<UncPath>,
    },
    /// Add the exclusions for profile containers of `FSLogix`
    FslogixExclusions {
        /// A share with profile containers; repeat it for several
        #[arg(long, value_name = "UNC")]
        profiles: Vec<UncPath>,
        /// Cloud Cache is in use
        #[arg(long)]
        cloud_cache: bool,
    },
    /// Set protection, scan times and throttling
    ScanSettings {
        /// Time of the daily quick scan, when the desktops run
        #[arg(long, value_name = "HH:MM", default_value_t)]
        quick_scan_time: ClockTime,
    },
    /// Show whether a pooled desktop is onboarded and protected; changes nothing
    Validate,
}

impl ScriptCommand {
    fn script(&self, defaults: &ImageDefaults) -> Script {
        match self.clone() {
            Self::CollectEvidence => Script::CollectEvidence,
            Self::StageOnboarding { package, entry } => {
                let entry = entry.unwrap_or(defaults.entry);
                Script::StageOnboarding { package, entry }
            }
            Self::CleanImage => Script::CleanImage,
            Self::DeviceTag { tag } => Script::DeviceTag {
                tag: tag.unwrap_or_else(|| defaults.tag.clone()),
            },
            Self::SecurityIntelligence { share } => Script::SecurityIntelligence { share },
            Self::FslogixExclusions {
                profiles,
                cloud_cache,
            } => Script::FslogixExclusions {
                profiles,
                cloud_cache,
            },
            Self::ScanSettings { quick_scan_time } => Script::ScanSettings { quick_scan_time },
            Self::Validate => Script::Validate,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AssessArgs {
    /// The collector's file, or - for standard input
    file: PathBuf,
    /// Role of the machine, golden or pooled; by default as the evidence says
    #[arg(long)]
    role: Option<Role>,
    /// How pooled machines are onboarded: single or multiple entries a device; by default the setting `VDI_ENTRY_MODEL`
    #[arg(long)]
    entry: Option<EntryModel>,
    /// Trigger of the onboarding: local policy or a task of the domain
    #[arg(long, default_value_t = Startup::Local)]
    startup: Startup,
    /// Tag that the machine must carry; by default the setting `VDI_DEVICE_TAG`
    #[arg(long)]
    tag: Option<DeviceTag>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
    Html,
}

pub(super) fn run(command: &GoldenImageCommand, variables: &BTreeMap<String, String>) -> Exit {
    let defaults = match config::image_defaults(variables) {
        Ok(defaults) => defaults,
        Err(problems) => return refuse(LogAudience::Person, &problems),
    };
    match command {
        GoldenImageCommand::Assess(args) => assess_file(args, &defaults),
        GoldenImageCommand::Script(command) => {
            let script = command.script(&defaults).render();
            let written = std::io::stdout().lock().write_all(script.as_bytes());
            printed(written, Exit::Complete)
        }
    }
}

fn assess_file(args: &AssessArgs, defaults: &ImageDefaults) -> Exit {
    let bytes = match read(&args.file) {
        Ok(bytes) => bytes,
        Err(error) => {
            say(&format!(
                "error: {} cannot be read: {error}",
                shown(&args.file)
            ));
            return Exit::Unusable;
        }
    };
    let evidence = match Evidence::parse(&bytes) {
        Ok(evidence) => evidence,
        Err(error) => {
            say(&format!("error: {}: {error}", shown(&args.file)));
            return Exit::Unusable;
        }
    };
    let expected = Expectation {
        role: args.role,
        entry: args.entry.unwrap_or(defaults.entry),
        startup: args.startup,
        tag: args.tag.clone().unwrap_or_else(|| defaults.tag.clone()),
    };
    let assessment = assess(&evidence, &expected);
    let exit = match assessment.holds() {
        Some(true) => Exit::Complete,
        Some(false) => Exit::Found,
        None => Exit::Incomplete,
    };
    printed(print(args.format, &assessment), exit)
}

/// One byte more than allowed shows that there is more.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn print(format: Format, assessment: &Assessment) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => stdout.write_all(json(assessment)?.as_bytes()),
        Format::Markdown => stdout.write_all(assessment.markdown().as_bytes()),
        Format::Html => stdout.write_all(assessment.html().as_bytes()),
        Format::Table => writeln!(
            stdout,
            "{}\n\n{}\n{}",
            table(assessment),
            assessment.verdict(),
            assessment.figures()
        ),
    }
}

/// Failed items first; passed ones are in the figures below.
fn table(assessment: &Assessment) -> String {
    let mut table = fitted(&["STATE", "SEVERITY", "ITEM", "WHAT", "SEEN", "WHAT TO DO"]);
    for item in &assessment.items {
        if item.state == CheckState::NotApplicable {
            continue;
        }
        table.add_row([
            item.state.as_str(),
            item.severity.as_str(),
            item.id,
            item.title,
            &visible(&item.seen),
            &item.remediation,
        ]);
    }
    table.trim_fmt()
}
