//! The app settings, read once.
//!
//! Every problem is reported in one go, because the Functions host gives up on
//! a handler that ends three times. Nothing else reads the environment.

mod place;
mod reader;
mod scope;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use functions::{
    coverage::Cloud,
    vdi::{DeviceTag, EntryModel, hygiene::HostPattern},
};
use url::Url;

pub use place::Place;
use reader::{Reader, printable};
pub use scope::Scope;

/// What the settings are read for; serving needs more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The HTTP API, under the Functions host or by `serve`.
    Serve,
    /// A command that ends by itself.
    Command,
}

/// Who may call the HTTP API. Setting `API_AUTH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAuth {
    /// A bearer token of our tenant with an application role.
    Entra {
        /// Setting `AZURE_TENANT_ID`: the tenant whose callers are accepted.
        tenant: String,
        /// Setting `API_AUDIENCE`: accepted audiences, separated by blanks.
        audiences: Vec<String>,
    },
    /// The Functions host checks its keys; nothing else is checked.
    Host,
    /// Nobody checks anything; refused in Azure.
    Off,
}

/// By which API hunting queries are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HuntingRoute {
    /// Microsoft Graph.
    #[default]
    Graph,
    /// The Defender for Endpoint API, whose route is being retired.
    Defender,
}

/// A word that is no route.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("`graph` and `defender` are allowed")]
pub struct NoRoute;

impl FromStr for HuntingRoute {
    type Err = NoRoute;

    fn from_str(text: &str) -> Result<Self, NoRoute> {
        match text.to_ascii_lowercase().as_str() {
            "graph" => Ok(Self::Graph),
            "defender" => Ok(Self::Defender),
            _ => Err(NoRoute),
        }
    }
}

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The managed identity of the app: the endpoint that the platform names.
    Managed {
        /// Setting `AZURE_CLIENT_ID`: client id of a user-assigned identity;
        /// `None` for the system-assigned one.
        client_id: Option<String>,
    },
    /// The developer's sign-in: Azure CLI, then Azure Developer CLI.
    DeveloperTools,
    /// In Azure, but the app has no identity.
    Missing,
}

/// What the settings say of virtual desktops.
#[derive(Clone, Debug)]
pub struct VdiSettings {
    /// Where the history of the VDI report lies. Setting `VDI_REPORTS_URL`,
    /// default as `REPORTS_URL`; device names are personal data, so in Azure a
    /// container of its own whose files expire.
    pub reports: Place,
    /// Their short names. Setting `VDI_HOST_PATTERN`; `None` makes no VDI report.
    pub hosts: Option<HostPattern>,
    /// Short names of golden images. Setting `GOLDEN_IMAGE_PATTERN`.
    pub golden: Option<HostPattern>,
    /// The tag that they must carry. Setting `VDI_DEVICE_TAG`, default
    /// `VDI-NonPersistent`.
    pub tag: DeviceTag,
    /// How they are onboarded. Setting `VDI_ENTRY_MODEL`, `single` (default) or
    /// `multiple`.
    pub entry: EntryModel,
}

/// All settings of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the Defender for Endpoint API, without a path.
    /// Setting `DEFENDER_API_URL`, default `https://api.security.microsoft.com`.
    pub defender_api_url: Url,
    /// Audience of its tokens, which is not the host. Setting
    /// `DEFENDER_API_AUDIENCE`, default `https://api.securitycenter.microsoft.com`.
    pub defender_api_audience: String,
    /// Base URL of Microsoft Graph, without a path. Setting `GRAPH_URL`, default
    /// `https://graph.microsoft.com`.
    pub graph_url: Url,
    /// Audience of its tokens. Setting `GRAPH_AUDIENCE`, default
    /// `https://graph.microsoft.com`.
    pub graph_audience: String,
    /// By which API queries are asked. Setting `HUNTING_ROUTE`, `graph` (default)
    /// or `defender`.
    pub hunting_route: HuntingRoute,
    /// Base URL of Azure Resource Manager, without a path.
    /// Setting `ARM_URL`, default `https://management.azure.com`.
    pub arm_url: Url,
    /// Audience of its tokens. Setting `ARM_AUDIENCE`, default
    /// `https://management.azure.com`.
    pub arm_audience: String,
    /// Which subscriptions the coverage report is about. Setting
    /// `COVERAGE_SCOPE`, default everything that the identity can read.
    pub coverage_scope: Scope,
    /// Whether the Defender setting of every AI account is read, one call each.
    /// Setting `COVERAGE_ACCOUNT_SETTINGS`, `true` or `false` (default).
    pub coverage_account_settings: bool,
    /// Where the history of the reports lies. Setting `REPORTS_URL`, default
    /// `./reports`; required for serving in Azure, whose disks do not last.
    pub reports: Place,
    /// Where the pointers to the newest reports lie. Setting
    /// `REPORTS_LATEST_URL`, default as `REPORTS_URL`.
    pub reports_latest: Place,
    /// Vault with what has no identity-based way. Setting `KEY_VAULT_URL`.
    pub key_vault: Option<Url>,
    /// Name of the secret with the webhook's URL. Setting `NOTIFY_WEBHOOK`;
    /// `None` notifies nobody.
    pub notify_webhook: Option<String>,
    /// Whether patched workbooks are written. Setting `WORKBOOK_REPAIR`, `true`
    /// or `false` (default, only tells).
    pub workbook_repair: bool,
    /// Whether CSV files start with a byte order mark, which Excel needs.
    /// Setting `CSV_BOM`, `true` (default) or `false`.
    pub csv_bom: bool,
    /// Virtual desktops.
    pub vdi: VdiSettings,
    /// Calls to each Defender endpoint in any 60 seconds.
    /// Setting `DEFENDER_CALLS_PER_MINUTE`, 1 to 10,000, default 100.
    pub defender_calls_per_minute: usize,
    /// Calls to each Defender endpoint in any hour.
    /// Setting `DEFENDER_CALLS_PER_HOUR`, 1 to 100,000, default 1,500.
    pub defender_calls_per_hour: usize,
    /// Time within which a synchronous look-up answers.
    /// Setting `LOOKUP_DEADLINE_SECONDS`, 1 to 200, default 90.
    pub lookup_deadline: Duration,
    /// Where tokens come from. Settings `IDENTITY_ENDPOINT`,
    /// `IDENTITY_HEADER` (both of the platform) and `AZURE_CLIENT_ID`.
    pub identity: IdentitySource,
    /// Who may call. Setting `API_AUTH`: `entra` (default), `host` or `off`.
    pub api_auth: ApiAuth,
    /// Authority of the callers' tokens. Setting `LOGIN_URL`, default
    /// `https://login.microsoftonline.com`.
    pub login_url: Url,
    /// Whether the process runs in Azure: any of `WEBSITE_SITE_NAME`,
    /// `WEBSITE_INSTANCE_ID`, `WEBSITE_POD_NAME`, `CONTAINER_NAME` is set.
    pub in_azure: bool,
    /// Public host name of the app. Set by the platform: `WEBSITE_HOSTNAME`.
    pub public_host: Option<String>,
    /// Folder of `host.json`. Set by the host: `FUNCTIONS_APP_ROOT_PATH`.
    pub app_root: Option<String>,
}

/// Everything that is wrong with the settings, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(pub Vec<String>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("; "))
    }
}

/// Settings of the product; a name with one of [`PREFIXES`] that is not among
/// them is a misspelt one.
pub const SETTINGS: [&str; 28] = [
    "DEFENDER_API_URL",
    "DEFENDER_API_AUDIENCE",
    "GRAPH_URL",
    "GRAPH_AUDIENCE",
    "HUNTING_ROUTE",
    "ARM_URL",
    "ARM_AUDIENCE",
    "COVERAGE_SCOPE",
    "COVERAGE_ACCOUNT_SETTINGS",
    "REPORTS_URL",
    "REPORTS_LATEST_URL",
    "KEY_VAULT_URL",
    "NOTIFY_WEBHOOK",
    "WORKBOOK_REPAIR",
    "CSV_BOM",
    "VDI_REPORTS_URL",
    "VDI_HOST_PATTERN",
    "GOLDEN_IMAGE_PATTERN",
    "VDI_DEVICE_TAG",
    "VDI_ENTRY_MODEL",
    "DEFENDER_CALLS_PER_MINUTE",
    "DEFENDER_CALLS_PER_HOUR",
    "LOOKUP_DEADLINE_SECONDS",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "API_AUTH",
    "API_AUDIENCE",
    "LOGIN_URL",
];

/// Variables that the platform or the Functions host sets and this file reads.
pub const PLATFORM_SETTINGS: [&str; 9] = [
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

/// Settings that the Functions host reads: six-field cron in UTC, one for each
/// timer function.
pub const SCHEDULES: [&str; 3] = ["COVERAGE_SCHEDULE", "WORKBOOK_SCHEDULE", "VDI_SCHEDULE"];

/// Settings of the command line alone.
pub const COMMAND_SETTINGS: [&str; 1] = ["DEFENDER_FUNCTIONS_URL"];

const PREFIXES: [&str; 12] = [
    "ARM_",
    "COVERAGE_",
    "DEFENDER_",
    "GOLDEN_",
    "GRAPH_",
    "HUNTING_",
    "KEY_VAULT_",
    "LOOKUP_",
    "NOTIFY_",
    "REPORTS_",
    "VDI_",
    "WORKBOOK_",
];

/// The variables of the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// The port that the Functions host gave, `None` when it gave none.
///
/// # Errors
/// One line when the variable is there but is no port.
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

/// The deployed service that a command asks.
#[derive(Clone, Debug)]
pub struct Server {
    /// Base URL, without a path. Option `--server`, or setting
    /// `DEFENDER_FUNCTIONS_URL`.
    pub url: Url,
    /// Audience of the tokens that it takes: the first value of `API_AUDIENCE`.
    pub audience: String,
}

/// The deployed service that a command should ask; `None` when none is named.
///
/// # Errors
/// Every problem at once; somebody has to change the option or the settings.
pub fn server(
    variables: &BTreeMap<String, String>,
    option: Option<&str>,
) -> Result<Option<Server>, ConfigProblems> {
    let mut reader = Reader {
        variables,
        problems: Vec::new(),
    };
    let named = option.or_else(|| reader.text("DEFENDER_FUNCTIONS_URL"));
    let server = named.map(|text| reader.server(text));
    match reader.problems.is_empty() {
        true => Ok(server),
        false => Err(ConfigProblems(reader.problems)),
    }
}

/// What golden images are expected to be like, unless somebody says otherwise.
#[derive(Clone, Debug)]
pub struct ImageDefaults {
    /// Setting `VDI_ENTRY_MODEL`.
    pub entry: EntryModel,
    /// Setting `VDI_DEVICE_TAG`.
    pub tag: DeviceTag,
}

/// The settings of golden images alone, for commands that ask nobody.
///
/// # Errors
/// Both problems at once; somebody has to change the settings.
pub fn image_defaults(
    variables: &BTreeMap<String, String>,
) -> Result<ImageDefaults, ConfigProblems> {
    let mut reader = Reader {
        variables,
        problems: Vec::new(),
    };
    let defaults = ImageDefaults {
        entry: reader.parsed("VDI_ENTRY_MODEL"),
        tag: reader.parsed("VDI_DEVICE_TAG"),
    };
    match reader.problems.is_empty() {
        true => Ok(defaults),
        false => Err(ConfigProblems(reader.problems)),
    }
}

impl Config {
    /// The Defender portal of the cloud that the API belongs to.
    pub fn portal(&self) -> &'static str {
        match self.defender_api_url.host_str() {
            Some("api-gov.securitycenter.microsoft.us") => "https://security.microsoft.us",
            _ => "https://security.microsoft.com",
        }
    }

    /// The cloud that the Resource Manager belongs to.
    pub fn cloud(&self) -> Cloud {
        match self.arm_url.host_str() {
            Some("management.usgovcloudapi.net" | "management.chinacloudapi.cn") => {
                Cloud::Sovereign
            }
            _ => Cloud::Public,
        }
    }

    /// Reads the settings from variables.
    ///
    /// # Errors
    /// Every problem at once; somebody has to change the settings.
    pub fn read(
        variables: &BTreeMap<String, String>,
        purpose: Purpose,
    ) -> Result<Self, ConfigProblems> {
        let mut reader = Reader {
            variables,
            problems: Vec::new(),
        };
        let in_azure = reader.in_azure();
        reader.find_misspelt();
        let reports = reader.reports(in_azure && purpose == Purpose::Serve);
        let config = Self {
            defender_api_url: reader
                .base_url("DEFENDER_API_URL", "https://api.security.microsoft.com"),
            defender_api_audience: reader.audience(
                "DEFENDER_API_AUDIENCE",
                "https://api.securitycenter.microsoft.com",
            ),
            graph_url: reader.base_url("GRAPH_URL", "https://graph.microsoft.com"),
            graph_audience: reader.audience("GRAPH_AUDIENCE", "https://graph.microsoft.com"),
            hunting_route: reader.parsed("HUNTING_ROUTE"),
            arm_url: reader.base_url("ARM_URL", "https://management.azure.com"),
            arm_audience: reader.audience("ARM_AUDIENCE", "https://management.azure.com"),
            coverage_scope: reader.scope("COVERAGE_SCOPE"),
            coverage_account_settings: reader.flag("COVERAGE_ACCOUNT_SETTINGS", false),
            reports_latest: reader
                .place("REPORTS_LATEST_URL")
                .unwrap_or_else(|| reports.clone()),
            vdi: reader.vdi(&reports),
            reports,
            key_vault: reader.key_vault(),
            notify_webhook: reader.notify_webhook(),
            workbook_repair: reader.flag("WORKBOOK_REPAIR", false),
            csv_bom: reader.flag("CSV_BOM", true),
            defender_calls_per_minute: reader.number("DEFENDER_CALLS_PER_MINUTE", 100, 10_000),
            defender_calls_per_hour: reader.number("DEFENDER_CALLS_PER_HOUR", 1_500, 100_000),
            lookup_deadline: Duration::from_secs(
                reader.number("LOOKUP_DEADLINE_SECONDS", 90, 200) as u64
            ),
            identity: reader.identity(in_azure),
            api_auth: if purpose == Purpose::Serve {
                reader.api_auth(in_azure)
            } else {
                ApiAuth::Off
            },
            login_url: reader.base_url("LOGIN_URL", "https://login.microsoftonline.com"),
            in_azure,
            public_host: reader.text("WEBSITE_HOSTNAME").map(str::to_owned),
            app_root: reader.text("FUNCTIONS_APP_ROOT_PATH").map(str::to_owned),
        };
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigProblems(reader.problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], purpose: Purpose) -> Result<Config, Vec<String>> {
        let variables = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::read(&variables, purpose).map_err(|problems| problems.0)
    }

    #[test]
    fn a_command_needs_no_setting_at_all() {
        let config = read(&[], Purpose::Command).unwrap();
        assert_eq!(
            config.defender_api_url.as_str(),
            "https://api.security.microsoft.com/"
        );
        assert_eq!(
            config.defender_api_audience,
            "https://api.securitycenter.microsoft.com"
        );
        assert_eq!(
            (
                config.defender_calls_per_minute,
                config.defender_calls_per_hour
            ),
            (100, 1_500)
        );
        assert_eq!(
            (config.lookup_deadline.as_secs(), config.identity),
            (90, IdentitySource::DeveloperTools)
        );
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let problems = read(
            &[
                ("DEFENDER_API_URL", "http://api.security.microsoft.com"),
                ("DEFENDER_CALLS_PER_MINUTE", "-1"),
                ("DEFENDER_CALLS_PER_HOUR", "many"),
                ("LOOKUP_DEADLINE_SECONDS", "0"),
                ("DEFENDER_CALL_PER_MINUTE", "1"),
                ("API_AUTH", "none"),
                ("AZURE_CLIENT_ID", "me"),
                ("IDENTITY_ENDPOINT", "http://169.254.130.1/msi/token"),
            ],
            Purpose::Serve,
        )
        .unwrap_err();
        assert_eq!(problems.len(), 8, "{problems:#?}");
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for url in [
            "http://127.0.0.1:9",
            "http://localhost:9/",
            "http://[::1]:9",
            "https://api-gov.securitycenter.microsoft.us",
        ] {
            assert!(
                read(&[("DEFENDER_API_URL", url)], Purpose::Command).is_ok(),
                "{url}"
            );
        }
        for url in [
            "http://127.0.0.1.evil.example",
            "https://a/b",
            "https://a?b",
            "ftp://localhost",
            "x",
            "https://u:p@a",
        ] {
            assert!(
                read(&[("DEFENDER_API_URL", url)], Purpose::Command).is_err(),
                "{url}"
            );
        }
    }

    #[test]
    fn off_is_refused_in_azure_and_serving_settings_are_not_asked_of_a_command() {
        for name in [
            "WEBSITE_SITE_NAME",
            "WEBSITE_INSTANCE_ID",
            "WEBSITE_POD_NAME",
            "CONTAINER_NAME",
        ] {
            assert!(read(&[("API_AUTH", "off"), (name, "x")], Purpose::Serve).is_err());
            assert!(read(&[("API_AUTH", "off"), (name, "x")], Purpose::Command).is_ok());
        }
        assert_eq!(
            read(&[("API_AUTH", "off")], Purpose::Serve)
                .unwrap()
                .api_auth,
            ApiAuth::Off
        );
    }

    #[test]
    fn serving_needs_a_tenant_and_an_audience_unless_told_otherwise() {
        let missing = read(&[], Purpose::Serve).unwrap_err();
        assert_eq!(missing.len(), 2, "{missing:#?}");
        let tenant = ("AZURE_TENANT_ID", "5d2a6d2b-0d5e-4a8c-9a5e-3f6c1c6a9f10");
        let audience = (
            "API_AUDIENCE",
            "api://one/ 22222222-3333-4444-5555-666666666666",
        );
        let config = read(&[tenant, audience], Purpose::Serve).unwrap();
        let audiences = vec![
            "api://one".to_owned(),
            "22222222-3333-4444-5555-666666666666".to_owned(),
        ];
        assert_eq!(
            config.api_auth,
            ApiAuth::Entra {
                tenant: tenant.1.to_owned(),
                audiences
            }
        );
        assert!(read(&[("AZURE_TENANT_ID", "common"), audience], Purpose::Serve).is_err());
        for other in ["host", "off"] {
            assert!(read(&[("API_AUTH", other)], Purpose::Serve).is_ok());
        }
    }

    #[test]
    fn an_audience_is_kept_without_scope_suffix_and_slash() {
        let audience = |text| {
            read(&[("DEFENDER_API_AUDIENCE", text)], Purpose::Command)
                .map(|c| c.defender_api_audience)
        };
        let plain = "https://securitycenter.onmicrosoft.com/windowsatpservice".to_owned();
        assert_eq!(
            audience("https://securitycenter.onmicrosoft.com/windowsatpservice/.default"),
            Ok(plain.clone())
        );
        assert_eq!(
            audience("https://securitycenter.onmicrosoft.com/windowsatpservice/"),
            Ok(plain)
        );
        assert!(audience("two words").is_err());
    }

    #[test]
    fn in_azure_without_an_identity_is_known() {
        assert_eq!(
            read(&[("CONTAINER_NAME", "x")], Purpose::Command)
                .unwrap()
                .identity,
            IdentitySource::Missing
        );
    }
}
