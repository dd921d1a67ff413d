//! The app settings, read once; each file below is a section of them.
//!
//! Every problem is reported together, because the Functions host gives up on a
//! handler that ends three times. Nothing else reads the environment.

mod callers;
mod command;
mod coverage;
mod defender;
mod graph;
mod identity;
mod names;
mod notify;
mod platform;
mod reader;
mod report_location;
mod reports;
mod resource_manager;
mod scope;
mod vdi;

use std::{collections::BTreeMap, fmt};

use reader::EnvReader;

pub use callers::{ApiAuth, CallerSettings};
pub use command::{Server, image_defaults, server};
pub use coverage::CoverageSettings;
pub use defender::DefenderSettings;
pub use graph::{GraphSettings, HuntingRoute};
pub use identity::IdentitySource;
pub use names::{COMMAND_SETTINGS, PLATFORM_SETTINGS, SCHEDULES, UnknownSetting, settings};
pub use notify::NotifySettings;
pub use platform::{PlatformSettings, host_port};
pub use report_location::ReportLocation;
pub use reports::ReportSettings;
pub use resource_manager::ResourceManagerSettings;
pub use scope::Scope;
pub use vdi::{ImageDefaults, VdiSettings};

/// The purpose that the settings are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The HTTP API under the Functions host. An upgrade or a rollback finds settings of
    /// another version, so an unknown name does not end the process.
    Host,
    /// The HTTP API by `serve`.
    Serve,
    /// A command that ends by itself; it needs no settings for serving.
    Command,
}

/// All settings of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Defender for Endpoint API, and look-ups.
    pub defender: DefenderSettings,
    /// Microsoft Graph, and hunting.
    pub graph: GraphSettings,
    /// Azure Resource Manager and Resource Graph.
    pub resource_manager: ResourceManagerSettings,
    /// The coverage report and saved workbooks.
    pub coverage: CoverageSettings,
    /// Reports in storage.
    pub reports: ReportSettings,
    /// The vault and the webhook.
    pub notify: NotifySettings,
    /// Virtual desktops and golden images.
    pub vdi: VdiSettings,
    /// Who may call.
    pub callers: CallerSettings,
    /// Where tokens come from.
    pub identity: IdentitySource,
    /// The platform that the process runs on.
    pub platform: PlatformSettings,
    /// Variables with one of our prefixes that are not settings of this version.
    pub unknown: Vec<UnknownSetting>,
}

/// All problems of the settings, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(pub Vec<String>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("; "))
    }
}

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

impl Config {
    /// Reads the settings from variables.
    ///
    /// # Errors
    /// All problems together; the settings have to be changed.
    pub fn read(
        variables: &BTreeMap<String, String>,
        purpose: Purpose,
    ) -> Result<Self, ConfigProblems> {
        let mut reader = EnvReader::new(variables);
        let unknown = names::unknown(variables);
        let platform = PlatformSettings::read(&reader);
        let serves = purpose != Purpose::Command;
        let storage = match platform.in_azure && serves {
            true => reports::Storage::MustLast,
            false => reports::Storage::AnyFolder,
        };
        let place = match platform.in_azure {
            true => callers::Place::Azure,
            false => callers::Place::Workstation,
        };
        let reports = ReportSettings::read(&mut reader, storage);
        let config = Self {
            defender: DefenderSettings::read(&mut reader),
            graph: GraphSettings::read(&mut reader),
            resource_manager: ResourceManagerSettings::read(&mut reader),
            coverage: CoverageSettings::read(&mut reader),
            notify: NotifySettings::read(&mut reader),
            vdi: VdiSettings::read(&mut reader, &reports.location),
            callers: CallerSettings::read(&mut reader, serves.then_some(place)),
            identity: IdentitySource::read(&mut reader, platform.in_azure),
            reports,
            platform,
            unknown,
        };
        // Where the process ends anyway, a person corrects everything in one step.
        if purpose != Purpose::Host || reader.has_problems() {
            let unknown = config.unknown.iter();
            unknown.for_each(|name| reader.problem(name.to_string()));
        }
        reader.finish(config)
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
            config.defender.url.as_str(),
            "https://api.security.microsoft.com/"
        );
        assert_eq!(
            config.defender.audience,
            "https://api.securitycenter.microsoft.com"
        );
        assert_eq!(
            (
                config.defender.calls_per_minute,
                config.defender.calls_per_hour
            ),
            (100, 1_500)
        );
        assert_eq!(
            (config.defender.lookup_deadline.as_secs(), config.identity),
            (90, IdentitySource::DeveloperTools)
        );
    }

    #[test]
    fn every_problem_is_reported_together() {
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
    fn plain_http_is_only_for_loopback() {
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
                .callers
                .auth,
            ApiAuth::Off
        );
    }

    #[test]
    fn serving_needs_a_tenant_and_an_audience_by_default() {
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
            config.callers.auth,
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
            read(&[("DEFENDER_API_AUDIENCE", text)], Purpose::Command).map(|c| c.defender.audience)
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

    #[test]
    fn a_setting_of_another_version_ends_only_what_a_person_started() {
        let tenant = ("AZURE_TENANT_ID", "5d2a6d2b-0d5e-4a8c-9a5e-3f6c1c6a9f10");
        let pairs = [
            tenant,
            ("API_AUDIENCE", "api://one"),
            ("COVERAGE_TOMORROW", "1"),
        ];
        let config = read(&pairs, Purpose::Host).unwrap();
        assert_eq!(config.unknown[0].name, "COVERAGE_TOMORROW");
        for purpose in [Purpose::Serve, Purpose::Command] {
            let problems = read(&pairs, purpose).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
        let bad_value = [
            tenant,
            ("API_AUDIENCE", "api://one"),
            ("CSV_BOM", "perhaps"),
        ];
        assert!(read(&bad_value, Purpose::Host).is_err());
    }
}
