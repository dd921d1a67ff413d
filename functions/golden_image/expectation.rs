//! What an operator says about a machine before it is assessed.

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
    /// A start-up script of the image's local policy.
    Local,
    /// A task that the domain hands out.
    Domain,
}

two_words!(Role, Golden "golden", Pooled "pooled");
two_words!(Startup, Local "local", Domain "domain");

/// What an operator says about the image.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What the machine is; the evidence says when this is `None`, and a machine
    /// without a role counts as a golden image.
    pub role: Option<Role>,
    /// How pooled machines are onboarded.
    pub entry: EntryModel,
    /// What starts the onboarding.
    pub startup: Startup,
    /// The tag that they carry.
    pub tag: DeviceTag,
}
