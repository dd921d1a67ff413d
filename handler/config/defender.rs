//! Settings of the Defender for Endpoint API and of look-ups.

use std::time::Duration;

use url::Url;

use super::reader::EnvReader;

pub(super) const SETTINGS: &[&str] = &[
    "DEFENDER_API_URL",
    "DEFENDER_API_AUDIENCE",
    "DEFENDER_CALLS_PER_MINUTE",
    "DEFENDER_CALLS_PER_HOUR",
    "LOOKUP_DEADLINE_SECONDS",
];
pub(super) const PREFIXES: &[&str] = &["DEFENDER_", "LOOKUP_"];

/// The Defender for Endpoint API.
#[derive(Clone, Debug)]
pub struct DefenderSettings {
    /// Base URL, without a path. Setting `DEFENDER_API_URL`, default
    /// `https://api.security.microsoft.com`.
    pub url: Url,
    /// Audience of its tokens, which is not the host. Setting `DEFENDER_API_AUDIENCE`,
    /// default `https://api.securitycenter.microsoft.com`.
    pub audience: String,
    /// Calls to each endpoint in any 60 seconds. Setting `DEFENDER_CALLS_PER_MINUTE`,
    /// 1 to 10,000, default 100.
    pub calls_per_minute: usize,
    /// Calls to each endpoint in any hour. Setting `DEFENDER_CALLS_PER_HOUR`, 1 to
    /// 100,000, default 1,500.
    pub calls_per_hour: usize,
    /// Time within which a synchronous look-up answers. Setting
    /// `LOOKUP_DEADLINE_SECONDS`, 1 to 200, default 90.
    pub lookup_deadline: Duration,
}

impl DefenderSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        let deadline = reader.number("LOOKUP_DEADLINE_SECONDS", 90, 200);
        Self {
            url: reader.base_url("DEFENDER_API_URL", "https://api.security.microsoft.com"),
            audience: reader.audience(
                "DEFENDER_API_AUDIENCE",
                "https://api.securitycenter.microsoft.com",
            ),
            calls_per_minute: reader.number("DEFENDER_CALLS_PER_MINUTE", 100, 10_000),
            calls_per_hour: reader.number("DEFENDER_CALLS_PER_HOUR", 1_500, 100_000),
            lookup_deadline: Duration::from_secs(deadline as u64),
        }
    }

    /// The Defender portal of the cloud that the API belongs to.
    pub fn portal(&self) -> &'static str {
        match self.url.host_str() {
            Some("api-gov.securitycenter.microsoft.us") => "https://security.microsoft.us",
            _ => "https://security.microsoft.com",
        }
    }
}
