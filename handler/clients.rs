//! Clients of outside services: URLs, and what each response means. How a request
//! is sent is the same for all of them, in [`crate::outbound`].

pub mod defender;
pub mod deployed_service;
pub mod key_vault;
pub mod resource_graph;
pub mod resource_manager;
pub mod storage;
pub mod webhook;
