//! The executable: the Functions host and the command line both start it here.

use std::process::ExitCode;

fn main() -> ExitCode {
    handler::cli::main(
        std::env::args_os().collect(),
        handler::config::environment(),
    )
}
