//! Writers that every capability shares.

pub mod csv;
pub mod html;
pub mod markup;
pub mod run;
pub mod text;
