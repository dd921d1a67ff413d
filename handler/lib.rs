//! Everything of the product that touches the outside world.
//!
//! A trigger ([`routes`], [`cli`]) calls a use case ([`services`]), which asks
//! [`clients`] for facts and `functions` for the decision. [`host`] and
//! [`router`] know the Functions host, [`config`] alone the environment,
//! [`identity`] alone tokens. In reading order:

pub mod cli;
pub mod config;
pub mod services;

pub mod router;
pub mod routes;

pub mod clients;

pub mod auth;
pub mod error;
pub mod host;
pub mod listen;
pub mod outbound;
pub mod telemetry;
