//! An answer in the shapes that people and tools read: comment, CSV, STAT.

mod comment;
mod csv;
mod html;
mod markdown;
mod stat;
mod words;

pub use stat::StatAnswer;
