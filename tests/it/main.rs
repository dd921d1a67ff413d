//! Integration tests: the packaged executable and the library against real
//! servers on loopback.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]
#![recursion_limit = "256"]

mod support;

mod bad_input;
mod caller_auth;
mod command_line;
mod connections;
mod coverage;
mod defender_faults;
mod evidence;
mod explorer;
mod golden_image;
mod hashes;
mod health;
mod host_conformance;
mod host_envelope;
mod host_faults;
mod identity;
mod infra;
mod kql;
mod language;
mod layout;
mod lookup;
mod outbound;
mod package;
mod payloads;
mod remote;
mod reports;
mod scripts;
mod settings;
mod storage;
mod structure;
mod vdi;
mod workbook;
