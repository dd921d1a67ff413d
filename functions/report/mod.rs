//! Writers that every capability shares.

pub mod csv;
pub mod markup;
pub mod text;
