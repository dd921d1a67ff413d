//! What the product decides and renders.
//!
//! Nothing here opens a connection, reads a clock or the environment, or is
//! async: facts and the present time enter as arguments, decisions and text
//! leave as values. One module a capability.

pub mod coverage;
pub mod golden_image;
pub mod hashes;
pub mod health;
pub mod vdi;

pub mod desktop;

pub mod query;
mod wire;

pub mod report;
