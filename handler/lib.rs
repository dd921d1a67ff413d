//! Everything in the product that touches the outside world.
//!
//! A trigger ([`routes`], [`cli`]) calls a use case ([`services`]), which asks
//! [`clients`] for facts and the crate `functions` for the decision. Folders import
//! downwards only, in the order of this list; [`config`] is the ground, and only it
//! reads the environment.

pub mod cli;
pub mod functions;
pub mod routes;
pub mod services;

pub mod clients;
pub mod server;

pub mod outbound;

pub mod invocation;
pub mod telemetry;

pub mod config;
