//! Variables that App Service and the Functions host set.

use std::collections::BTreeMap;

use super::{
    ConfigProblems,
    reader::{EnvReader, printable},
};

pub(super) const SETTINGS: &[&str] = &[
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
    "WEBSITE_POD_NAME",
    "CONTAINER_NAME",
    "WEBSITE_HOSTNAME",
    "FUNCTIONS_APP_ROOT_PATH",
    "FUNCTIONS_CUSTOMHANDLER_PORT",
];

/// Variables that are set when App Service runs the process; any one is enough.
const IN_AZURE: [&str; 4] = [
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
    "WEBSITE_POD_NAME",
    "CONTAINER_NAME",
];

/// The platform that the process runs on.
#[derive(Clone, Debug)]
pub struct PlatformSettings {
    /// True if the process runs in Azure: any of `WEBSITE_SITE_NAME`,
    /// `WEBSITE_INSTANCE_ID`, `WEBSITE_POD_NAME`, `CONTAINER_NAME` is set.
    pub in_azure: bool,
    /// Public host name of the app. Set by the platform: `WEBSITE_HOSTNAME`.
    pub public_host: Option<String>,
    /// Folder of `host.json`. Set by the host: `FUNCTIONS_APP_ROOT_PATH`.
    pub app_root: Option<String>,
}

impl PlatformSettings {
    pub(super) fn read(reader: &EnvReader<'_>) -> Self {
        Self {
            in_azure: IN_AZURE.iter().any(|name| reader.text(name).is_some()),
            public_host: reader.text("WEBSITE_HOSTNAME").map(str::to_owned),
            app_root: reader.text("FUNCTIONS_APP_ROOT_PATH").map(str::to_owned),
        }
    }
}

/// The port that the Functions host gave, `None` when it gave none.
///
/// # Errors
/// One line when the variable is set but is not a port.
pub fn host_port(variables: &BTreeMap<String, String>) -> Result<Option<u16>, ConfigProblems> {
    let Some(text) = variables.get("FUNCTIONS_CUSTOMHANDLER_PORT") else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(ConfigProblems(vec![format!(
            "`FUNCTIONS_CUSTOMHANDLER_PORT` is `{}`, not a port from 1 to 65535",
            printable(text)
        )])),
    }
}
