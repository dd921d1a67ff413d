//! Reads single settings and collects what is wrong with them.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use functions::vdi::hygiene::HostPattern;
use url::{Host, Url};

use super::{
    ApiAuth, COMMAND_SETTINGS, IdentitySource, PREFIXES, Place, SCHEDULES, SETTINGS, Scope, Server,
    VdiSettings,
};

/// Every method reads one setting, and on a mistake notes it and goes on.
pub(super) struct Reader<'a> {
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The value without blanks around it; an empty one counts as unset.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn find_misspelt(&mut self) {
        for name in self.variables.keys() {
            let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            let known = [&SETTINGS[..], &SCHEDULES, &COMMAND_SETTINGS].concat();
            if ours && !known.contains(&name.as_str()) {
                self.problems.push(format!(
                    "`{}` is not a setting; see docs/configuration.md for their names",
                    printable(name)
                ));
            }
        }
    }

    pub(super) fn number(&mut self, name: &str, default: usize, most: usize) -> usize {
        let Some(text) = self.text(name) else {
            return default;
        };
        text.parse()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .unwrap_or_else(|| {
                self.problems.push(format!(
                    "`{name}` is `{}`, not a whole number from 1 to {most}",
                    printable(text)
                ));
                default
            })
    }

    /// A value that knows itself what it may be.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &str) -> T {
        let Some(text) = self.text(name) else {
            return T::default();
        };
        text.parse().unwrap_or_else(|error| {
            self.problems
                .push(format!("`{name}` is `{}`: {error}", printable(text)));
            T::default()
        })
    }

    /// What is set for virtual desktops; their reports lie with the others where
    /// nothing is said.
    pub(super) fn vdi(&mut self, reports: &Place) -> VdiSettings {
        VdiSettings {
            reports: self
                .place("VDI_REPORTS_URL")
                .unwrap_or_else(|| reports.clone()),
            hosts: self.pattern("VDI_HOST_PATTERN"),
            golden: self.pattern("GOLDEN_IMAGE_PATTERN"),
            tag: self.parsed("VDI_DEVICE_TAG"),
            entry: self.parsed("VDI_ENTRY_MODEL"),
        }
    }

    /// A regular expression over host names; `None` when it is not set.
    fn pattern(&mut self, name: &str) -> Option<HostPattern> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.problems
                    .push(format!("`{name}` is `{}`: {error}", printable(text)));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                let text = printable(other);
                self.problems
                    .push(format!("`{name}` is `{text}`, not `true` or `false`"));
                default
            }
        }
    }

    pub(super) fn scope(&mut self, name: &str) -> Scope {
        Scope::read(self.text(name).unwrap_or_default()).unwrap_or_else(|word| {
            self.problems.push(format!(
                "`{name}` holds `{}`, not `mg:NAME` or `sub:GUID`; separate several by blanks",
                printable(&word)
            ));
            Scope::default()
        })
    }

    /// Where the history lies; `must_be_set` where the default would be lost.
    pub(super) fn reports(&mut self, must_be_set: bool) -> Place {
        let place = self.place("REPORTS_URL");
        if must_be_set && self.text("REPORTS_URL").is_none() {
            self.problems.push(
                "`REPORTS_URL` is not set; it has to be https://ACCOUNT.blob.core.windows.net/CONTAINER, \
                 because a disk in Azure does not last"
                    .to_owned(),
            );
        }
        place.unwrap_or_else(|| Place::Directory("./reports".into()))
    }

    /// A directory or a container; what is neither is noted and left out.
    pub(super) fn place(&mut self, name: &str) -> Option<Place> {
        let text = self.text(name)?;
        Place::read(text)
            .map_err(|problem| self.problems.push(format!("`{name}` {problem}")))
            .ok()
    }

    pub(super) fn key_vault(&mut self) -> Option<Url> {
        let set = self.text("KEY_VAULT_URL").is_some();
        set.then(|| self.base_url("KEY_VAULT_URL", ""))
    }

    /// The name of a secret: letters, digits and hyphens.
    pub(super) fn notify_webhook(&mut self) -> Option<String> {
        let name = self.text("NOTIFY_WEBHOOK")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.len() > 127 || !name.chars().all(plain) {
            self.problems.push(
                "`NOTIFY_WEBHOOK` is not the name of a Key Vault secret; put the webhook's URL into the vault, \
                 not into the setting, and name the secret here"
                    .to_owned(),
            );
        } else if self.text("KEY_VAULT_URL").is_none() {
            self.problems.push(
                "`NOTIFY_WEBHOOK` names a secret, but `KEY_VAULT_URL` does not say in which vault"
                    .to_owned(),
            );
        }
        Some(name.to_owned())
    }

    /// Whether App Service runs the process.
    pub(super) fn in_azure(&self) -> bool {
        let set_there = [
            "WEBSITE_SITE_NAME",
            "WEBSITE_INSTANCE_ID",
            "WEBSITE_POD_NAME",
            "CONTAINER_NAME",
        ];
        set_there.iter().any(|name| self.text(name).is_some())
    }

    /// The deployed service at a URL.
    pub(super) fn server(&mut self, text: &str) -> Server {
        let audiences = self.text("API_AUDIENCE").unwrap_or_default();
        let audience = audiences.split_whitespace().next().unwrap_or_default();
        if audience.is_empty() {
            self.problems.push(
                "`API_AUDIENCE` is not set: asking the deployed service needs the audience of its tokens, such as `api://<tenant id>/defender-functions`, \
                 output API_AUDIENCE of infra/graph"
                    .to_owned(),
            );
        }
        Server {
            url: self.url_of("--server", text),
            audience: audience.trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn base_url(&mut self, name: &str, default: &str) -> Url {
        let text = self.text(name).unwrap_or(default);
        self.url_of(name, text)
    }

    fn url_of(&mut self, name: &str, text: &str) -> Url {
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
        match url {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                self.problems
                    .push(format!("`{name}` holds a user name or password; remove it"));
                url
            }
            Some(url)
                if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) =>
            {
                url
            }
            _ => {
                self.problems.push(format!(
                    "`{name}` is `{}`, not an https:// URL without a path (http:// is for loopback addresses)",
                    printable(text)
                ));
                Url::parse("https://invalid.invalid")
                    .unwrap_or_else(|_| unreachable!("a literal URL"))
            }
        }
    }

    /// An audience as Entra knows it: a URI without a trailing slash.
    pub(super) fn audience(&mut self, name: &str, default: &str) -> String {
        let text = self.text(name).unwrap_or(default);
        let audience = text.trim_end_matches('/').trim_end_matches("/.default");
        if audience.is_empty()
            || audience.contains(char::is_whitespace)
            || Url::parse(audience).is_err()
        {
            self.problems.push(format!(
                "`{name}` is `{}`, not an audience such as {default}",
                printable(text)
            ));
        }
        audience.to_owned()
    }

    pub(super) fn identity(&mut self, in_azure: bool) -> IdentitySource {
        let client_id = self.text("AZURE_CLIENT_ID").map(str::to_owned);
        if client_id
            .as_deref()
            .is_some_and(|id| uuid::Uuid::try_parse(id).is_err())
        {
            self.problems.push(
                "`AZURE_CLIENT_ID` is not a client id (a GUID) of a user-assigned identity"
                    .to_owned(),
            );
        }
        match (self.text("IDENTITY_ENDPOINT"), self.text("IDENTITY_HEADER")) {
            (Some(endpoint), Some(_)) => {
                if Url::parse(endpoint).is_err() {
                    self.problems.push("`IDENTITY_ENDPOINT` is not a URL; the platform sets it, do not set it yourself".to_owned());
                }
                IdentitySource::Managed { client_id }
            }
            (None, None) if in_azure => IdentitySource::Missing,
            (None, None) => IdentitySource::DeveloperTools,
            _ => {
                self.problems.push(
                    "`IDENTITY_ENDPOINT` and `IDENTITY_HEADER` come as a pair from the platform, but only one is set".to_owned(),
                );
                IdentitySource::Missing
            }
        }
    }

    pub(super) fn api_auth(&mut self, in_azure: bool) -> ApiAuth {
        match self.text("API_AUTH").unwrap_or("entra") {
            "entra" => self.entra(),
            "host" => ApiAuth::Host,
            "off" if !in_azure => ApiAuth::Off,
            "off" => {
                self.problems.push(
                    "`API_AUTH` is `off`, which is for loopback development and refused in Azure"
                        .to_owned(),
                );
                ApiAuth::Host
            }
            other => {
                self.problems.push(format!(
                    "`API_AUTH` is `{}`, not one of `entra`, `host`, `off`",
                    printable(other)
                ));
                ApiAuth::Host
            }
        }
    }

    fn entra(&mut self) -> ApiAuth {
        let tenant = self.text("AZURE_TENANT_ID").unwrap_or_default();
        if uuid::Uuid::try_parse(tenant).is_err() {
            self.problems.push(
                "`AZURE_TENANT_ID` has to be the id (a GUID) of the tenant whose callers are accepted; \
                 on a workstation `API_AUTH=off` serves without caller authentication"
                    .to_owned(),
            );
        }
        let audiences = self
            .text("API_AUDIENCE")
            .unwrap_or_default()
            .split_whitespace();
        let audiences: Vec<String> = audiences
            .map(|audience| audience.trim_end_matches('/').to_owned())
            .collect();
        if audiences.is_empty() {
            self.problems.push(
                "`API_AUDIENCE` is not set; it has the audiences of the callers' tokens, separated by blanks: the client id of the API's registration"
                    .to_owned(),
            );
        }
        ApiAuth::Entra {
            tenant: tenant.to_owned(),
            audiences,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// A value as it may stand in a message: one line, cut, no control characters.
pub(super) fn printable(value: &str) -> String {
    value
        .chars()
        .take(60)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
