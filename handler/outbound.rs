//! The one way out: every call that leaves the process takes the same path.
//!
//! [`call`] is the sequence (deadline, token, limit, breaker, send, one
//! replacement of a refused token, retry, size cap); a client adds only what a
//! response means. Object storage and the Key Vault SDK have pipelines of their
//! own over [`http`]. Nothing here knows a service.

pub(crate) mod breaker;
pub(crate) mod call;
pub(crate) mod endpoint;
pub mod failure;
pub mod http;
pub mod identity;
pub(crate) mod limiter;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod sdk_transport;
pub mod single_flight;
mod token;

pub(crate) use call::Outbound;
pub(crate) use endpoint::{Endpoint, Refusals, Service};
pub use failure::{Code, Failure, Kind};
pub use http::{HttpClient, TimeLimits};
pub use identity::Identity;
pub(crate) use request::{Repeat, Request};
pub(crate) use response::{Meaning, Reply};
pub(crate) use retry::seconds_rounded_up;
pub use token::{Claims, Token};
