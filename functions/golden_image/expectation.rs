//! The expectations of an operator about a machine that is assessed.

use serde::Serialize;

use crate::desktop::{DeviceTag, EntryModel, two_words};

/// The kind of machine that the evidence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An image that is about to be sealed.
    Golden,
    /// A virtual desktop after its first start.
    Pooled,
}

/// The starter of the onboarding script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Startup {
    /// A startup script of the image's local policy.
    Local,
    /// A task that the domain deploys.
    Domain,
}

two_words!(Role, Golden "golden", Pooled "pooled");
two_words!(Startup, Local "local", Domain "domain");

/// The expectations of an operator about the image.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The role of the machine; `None` takes it from the evidence.
    ///
    /// A machine without a role counts as a golden image.
    pub role: Option<Role>,
    /// The device entries of pooled machines.
    pub entry: EntryModel,
    /// The starter of the onboarding script.
    pub startup: Startup,
    /// The tag that they must have.
    pub tag: DeviceTag,
}
