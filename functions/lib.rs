//! The decisions and the texts of the product, one module per capability.
//!
//! No code here opens a connection, reads a clock or the environment, or is
//! async: facts and the current time come in as arguments, decisions and text
//! are returned as values.

pub mod coverage;
pub mod golden_image;
pub mod hashes;
pub mod health;
pub mod json;
pub mod vdi;

pub mod desktop;

pub mod query;
mod text;
mod wire;

pub mod report;
