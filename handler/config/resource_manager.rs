//! Settings of Azure Resource Manager, which also serves Resource Graph.

use functions::coverage::Cloud;
use url::Url;

use super::reader::EnvReader;

pub(super) const SETTINGS: &[&str] = &["ARM_URL", "ARM_AUDIENCE"];
pub(super) const PREFIXES: &[&str] = &["ARM_"];

/// Azure Resource Manager.
#[derive(Clone, Debug)]
pub struct ResourceManagerSettings {
    /// Base URL, without a path. Setting `ARM_URL`, default
    /// `https://management.azure.com`.
    pub url: Url,
    /// Audience of its tokens. Setting `ARM_AUDIENCE`, default
    /// `https://management.azure.com`.
    pub audience: String,
}

impl ResourceManagerSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        Self {
            url: reader.base_url("ARM_URL", "https://management.azure.com"),
            audience: reader.audience("ARM_AUDIENCE", "https://management.azure.com"),
        }
    }

    /// The cloud that the Resource Manager belongs to.
    pub fn cloud(&self) -> Cloud {
        match self.url.host_str() {
            Some("management.usgovcloudapi.net" | "management.chinacloudapi.cn") => {
                Cloud::Sovereign
            }
            _ => Cloud::Public,
        }
    }
}
