//! Reads single variables and collects their problems. It knows no domain.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

use super::{ConfigProblems, ReportLocation};

/// Reads variables; a mistake is noted, and reading continues with a default.
pub(super) struct EnvReader<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl<'a> EnvReader<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self {
            variables,
            problems: Vec::new(),
        }
    }

    /// Notes a problem: the setting, what is wrong, what to do.
    pub(super) fn problem(&mut self, line: impl Into<String>) {
        self.problems.push(line.into());
    }

    /// Returns true if there is any problem so far.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The value that was read, unless there were problems.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigProblems> {
        match self.problems.is_empty() {
            true => Ok(value),
            false => Err(ConfigProblems(self.problems)),
        }
    }

    /// The value without surrounding spaces; an empty one counts as unset.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// An integer from 1 to `max`.
    pub(super) fn number(&mut self, name: &str, default: usize, max: usize) -> usize {
        let Some(text) = self.text(name) else {
            return default;
        };
        let number = text.parse().ok();
        let number = number.filter(|number| (1..=max).contains(number));
        number.unwrap_or_else(|| {
            self.problem(format!(
                "`{name}` is `{}`, not an integer from 1 to {max}",
                printable(text)
            ));
            default
        })
    }

    /// A value that checks itself; its default where it is not set.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &str) -> T {
        self.optional(name).unwrap_or_default()
    }

    /// A value that checks itself; `None` where it is not set.
    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(format!("`{name}` is `{}`: {error}", printable(text)));
                None
            }
        }
    }

    /// `true` or `false`, in any case.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                let text = printable(other);
                self.problem(format!("`{name}` is `{text}`, not `true` or `false`"));
                default
            }
        }
    }

    /// A directory or a container; what is neither is noted and left out.
    pub(super) fn location(&mut self, name: &str) -> Option<ReportLocation> {
        let text = self.text(name)?;
        match ReportLocation::read(text) {
            Ok(location) => Some(location),
            Err(problem) => {
                self.problem(format!("`{name}` {problem}"));
                None
            }
        }
    }

    pub(super) fn base_url(&mut self, name: &str, default: &str) -> Url {
        let text = self.text(name).unwrap_or(default);
        self.url_of(name, text)
    }

    /// An https URL without a path, from the setting or option `name`.
    pub(super) fn url_of(&mut self, name: &str, text: &str) -> Url {
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
        match url {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                self.problem(format!("`{name}` holds a user name or password; remove it"));
                url
            }
            Some(url)
                if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) =>
            {
                url
            }
            _ => {
                self.problem(format!(
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
            self.problem(format!(
                "`{name}` is `{}`, not an audience such as {default}",
                printable(text)
            ));
        }
        audience.to_owned()
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
