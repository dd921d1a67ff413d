//! What the product decides and renders.
//!
//! Nothing here opens a connection, reads a clock or the environment, or is
//! async: facts and the present time enter as arguments, decisions and text
//! leave as values. One module a capability.

pub mod coverage;
pub mod hashes;
pub mod health;
pub mod report;
pub mod vdi;
