//! Settings about who may call the HTTP API.

use url::Url;

use super::reader::{EnvReader, printable};

pub(super) const SETTINGS: &[&str] = &["AZURE_TENANT_ID", "API_AUTH", "API_AUDIENCE", "LOGIN_URL"];

/// `AZURE_`, `API_` and `LOGIN_` also start names of other products.
pub(super) const PREFIXES: &[&str] = &[];

/// How callers are authenticated. Setting `API_AUTH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAuth {
    /// A bearer token of our tenant with an application role.
    Entra {
        /// Setting `AZURE_TENANT_ID`: the tenant whose callers are accepted.
        tenant: String,
        /// Setting `API_AUDIENCE`: accepted audiences, separated by spaces.
        audiences: Vec<String>,
    },
    /// The Functions host checks its keys; nothing else is checked.
    Host,
    /// No one checks anything; refused in Azure.
    Off,
}

/// Who may call the HTTP API.
#[derive(Clone, Debug)]
pub struct CallerSettings {
    /// How callers are authenticated. Setting `API_AUTH`: `entra` (default), `host` or
    /// `off`. A command does not serve, so there it is `Off`.
    pub auth: ApiAuth,
    /// Authority of the callers' tokens. Setting `LOGIN_URL`, default
    /// `https://login.microsoftonline.com`.
    pub login_url: Url,
}

impl CallerSettings {
    /// `None` for a process that does not serve.
    pub(super) fn read(reader: &mut EnvReader<'_>, serving: Option<Place>) -> Self {
        Self {
            auth: match serving {
                Some(place) => auth(reader, place),
                None => ApiAuth::Off,
            },
            login_url: reader.base_url("LOGIN_URL", "https://login.microsoftonline.com"),
        }
    }
}

/// Where the process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Azure,
    Workstation,
}

fn auth(reader: &mut EnvReader<'_>, place: Place) -> ApiAuth {
    match reader.text("API_AUTH").unwrap_or("entra") {
        "entra" => entra(reader),
        "host" => ApiAuth::Host,
        "off" if place == Place::Workstation => ApiAuth::Off,
        "off" => {
            reader.problem(
                "`API_AUTH` is `off`, which is for loopback development and refused in Azure",
            );
            ApiAuth::Host
        }
        other => {
            reader.problem(format!(
                "`API_AUTH` is `{}`, not one of `entra`, `host`, `off`",
                printable(other)
            ));
            ApiAuth::Host
        }
    }
}

fn entra(reader: &mut EnvReader<'_>) -> ApiAuth {
    let tenant = reader.text("AZURE_TENANT_ID").unwrap_or_default();
    if uuid::Uuid::try_parse(tenant).is_err() {
        reader.problem(
            "`AZURE_TENANT_ID` has to be the id (a GUID) of the tenant whose callers are accepted; \
             on a workstation `API_AUTH=off` serves without caller authentication",
        );
    }
    let audiences = reader.text("API_AUDIENCE").unwrap_or_default();
    let audiences: Vec<String> = audiences
        .split_whitespace()
        .map(|audience| audience.trim_end_matches('/').to_owned())
        .collect();
    if audiences.is_empty() {
        reader.problem(
            "`API_AUDIENCE` is not set; it has the audiences of the callers' tokens, separated by spaces: the client id of the API's registration",
        );
    }
    ApiAuth::Entra {
        tenant: tenant.to_owned(),
        audiences,
    }
}
