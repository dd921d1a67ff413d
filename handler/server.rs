//! The one way in: HTTP on loopback, the protocol of the Functions host, who calls,
//! and what every route needs to read a request and to answer it.
//!
//! Who calls ([`auth`]) is established before a request reaches its route; what the
//! caller may do is decided by the table's role, or by the route after it has read
//! the body. The server does not know the table of functions: it gets the rows.
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>

pub mod answer;
pub mod app;
pub mod auth;
pub mod body;
mod connection;
pub mod envelope;
pub mod host;
pub mod listen;
mod local;
mod permit;
pub mod problem;
pub mod problem_code;
pub mod query;
pub mod reply;
mod rest_of_body;
mod signing_keys;
pub mod token_rules;
pub mod wrapped_http;

pub use answer::{json, json_bytes, text};
pub use app::{Access, App, Functions};
pub use auth::{Caller, Gate, Role};
pub use body::{MAX_BODY_BYTES, read_body};
pub use envelope::{Invocation, TimerInfo};
pub use problem::ApiError;
pub use problem_code::ProblemCode;
pub use query::{FromQuery, Query, QueryPairs};
pub use reply::Reply;
