//! An answer in the shapes that people and tools read: comment, CSV, STAT.

mod block;
mod comment;
mod csv;
mod details;
mod html;
mod markdown;
mod plain;
mod sentences;
mod stat;

pub use sentences::{CLEAN_MEANS, Overview};
pub use stat::StatAnswer;
