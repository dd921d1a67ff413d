//! Clients of outside services. Only these know URLs and wire errors.

pub mod defender;
pub mod resource_graph;
