//! Clients of outside services. Only these know URLs and wire errors.

pub mod defender;
