//! The command `doctor`: lists missing permissions and settings, and how to fix each.

use std::{collections::BTreeMap, io::Write};

use clap::{Args, ValueEnum};
use functions::{
    health::{CheckState, Health},
    report::text::json,
};

use super::{
    Exit, log, printed,
    server::{self, ServerArgs},
    with_services,
};
use crate::clients::deployed_service::{self, ServiceClient};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
    /// Log what happens, on standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub(super) fn run(args: &DoctorArgs, variables: &BTreeMap<String, String>) -> Exit {
    log(args.verbose);
    match args.server.client(variables) {
        Err(exit) => return exit,
        Ok(Some(service)) => return server::ask(of_service(&service, args.format)),
        Ok(None) => {}
    }
    let interrupted =
        "interrupted; files in the folder `doctor` where reports are stored may have been written";
    with_services(variables, interrupted, |_, services| async move {
        print_health(args.format, &services.doctor.examine().await)
    })
}

/// The result of the deployed service, with its own identity.
async fn of_service(service: &ServiceClient, format: Format) -> Exit {
    match service.json::<Health>("health", Some("deep=true")).await {
        // The worst state is computed here; without checks nothing is known.
        Ok(health) if !health.checks.is_empty() => {
            let health = Health::new(&health.version, health.as_of, health.checks);
            print_health(format, &health)
        }
        Ok(_) => server::failed(&deployed_service::other_version()),
        Err(error) => server::failed(&error),
    }
}

fn print_health(format: Format, health: &Health) -> Exit {
    let exit = match health.status {
        CheckState::Off | CheckState::Ok => Exit::Complete,
        CheckState::Missing => Exit::Found,
        CheckState::Unreachable => Exit::Incomplete,
    };
    printed(print(format, health), exit)
}

fn print(format: Format, health: &Health) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => stdout.write_all(json(health)?.as_bytes()),
        Format::Table => stdout.write_all(health.text().as_bytes()),
    }
}
