//! Settings of the process's own identity.

use url::Url;

use super::reader::EnvReader;

pub(super) const SETTINGS: &[&str] = &["AZURE_CLIENT_ID"];
/// `AZURE_` also starts names that the Azure SDKs and azd read.
pub(super) const PREFIXES: &[&str] = &[];

/// Where tokens come from. Settings `IDENTITY_ENDPOINT`, `IDENTITY_HEADER` (both of the
/// platform) and `AZURE_CLIENT_ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The managed identity of the app: the endpoint that the platform names.
    Managed {
        /// Setting `AZURE_CLIENT_ID`: client id of a user-assigned identity; `None` for
        /// the system-assigned one.
        client_id: Option<String>,
    },
    /// The developer's sign-in: Azure CLI, then Azure Developer CLI.
    DeveloperTools,
    /// In Azure, but the app has no identity.
    Missing,
}

impl IdentitySource {
    pub(super) fn read(reader: &mut EnvReader<'_>, in_azure: bool) -> Self {
        let client_id = reader.text("AZURE_CLIENT_ID").map(str::to_owned);
        let is_guid = |id: &String| uuid::Uuid::try_parse(id).is_ok();
        if !client_id.as_ref().is_none_or(is_guid) {
            reader.problem(
                "`AZURE_CLIENT_ID` is not a client id (a GUID) of a user-assigned identity",
            );
        }
        let endpoint = reader.text("IDENTITY_ENDPOINT");
        match (endpoint, reader.text("IDENTITY_HEADER")) {
            (Some(endpoint), Some(_)) => {
                if Url::parse(endpoint).is_err() {
                    reader.problem(
                        "`IDENTITY_ENDPOINT` is not a URL; the platform sets it, do not set it yourself",
                    );
                }
                Self::Managed { client_id }
            }
            (None, None) if in_azure => Self::Missing,
            (None, None) => Self::DeveloperTools,
            _ => {
                reader.problem(
                    "`IDENTITY_ENDPOINT` and `IDENTITY_HEADER` come as a pair from the platform, but only one is set",
                );
                Self::Missing
            }
        }
    }
}
