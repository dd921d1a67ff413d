//! Clients of outside services. Only these know URLs and wire errors.

pub mod defender;
pub mod key_vault;
pub mod resource_graph;
pub mod resource_manager;
pub mod service;
pub mod storage;
