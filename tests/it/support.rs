//! Shared parts of the tests: the package, the host simulator, typed requests.

pub mod app;
pub mod azurite;
pub mod host;
pub mod machine;
pub mod package;
pub mod stage;
pub mod tls;
pub mod tools;
pub mod wire;

pub use app::App;
pub use host::{HttpMode, SimulatedHost};
