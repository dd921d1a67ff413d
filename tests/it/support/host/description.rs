//! The description of the custom handler in host.json and app settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The ways to reach an HTTP function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMode {
    Envelope,
    Forwarding,
    Proxying,
}

/// `customHandler` of `host.json` as the host binds it.
#[derive(Clone, Debug)]
pub struct CustomHandler {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub port: Option<u16>,
    pub mode: HttpMode,
}

/// The reason the host does not start a handler.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfigurationError(pub String);

impl CustomHandler {
    /// Reads `host.json` and joins paths as the host does.
    ///
    /// `overrides` are environment settings such as
    /// `AzureFunctionsJobHost__customHandler__port`.
    pub fn read(root: &Path, overrides: &Overrides<'_>) -> Result<Self, HostConfigurationError> {
        let text = std::fs::read(root.join("host.json")).map_err(refuse("host.json is missing"))?;
        let host: Value = serde_json::from_slice(&text).map_err(refuse("host.json is not JSON"))?;
        if host["version"] != "2.0" {
            return Err(refuse("host.json has another version")(()));
        }
        let handler = &host["customHandler"];
        if !handler["description"].is_object() {
            return Err(refuse("Missing WorkerDescription for HttpWorker")(()));
        }
        let flag = |name: &str| handler[name] == true;
        Ok(Self {
            executable: executable(root, &handler["description"], overrides)?,
            arguments: arguments(&handler["description"], overrides)?,
            port: port(handler, overrides)?,
            mode: match (
                flag("enableProxyingHttpRequest"),
                flag("enableForwardingHttpRequest"),
            ) {
                (true, _) => HttpMode::Proxying,
                (false, true) => HttpMode::Forwarding,
                (false, false) => HttpMode::Envelope,
            },
        })
    }
}

type Overrides<'a> = BTreeMap<&'a str, String>;

fn refuse<E>(why: &'static str) -> impl FnOnce(E) -> HostConfigurationError {
    move |_| HostConfigurationError(why.to_owned())
}

/// The path of the executable as the host finds it.
///
/// `%VAR%` is expanded; a relative path is joined to the worker directory; a
/// missing file is looked up on the search path.
pub(super) fn executable(
    root: &Path,
    description: &Value,
    overrides: &Overrides<'_>,
) -> Result<PathBuf, HostConfigurationError> {
    let path = description["defaultExecutablePath"]
        .as_str()
        .filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| refuse("defaultExecutablePath is required")(()))?;
    let expand =
        |path: String, (name, value): (&&str, &String)| path.replace(&format!("%{name}%"), value);
    let path = overrides.iter().fold(path.to_owned(), expand);
    let joined = root
        .join(description["workerDirectory"].as_str().unwrap_or_default())
        .join(&path);
    Ok(if joined.is_file() {
        joined
    } else {
        PathBuf::from(path)
    })
}

fn arguments(
    description: &Value,
    overrides: &Overrides<'_>,
) -> Result<Vec<String>, HostConfigurationError> {
    match overrides.get("AzureFunctionsJobHost__customHandler__description__arguments") {
        Some(json) => serde_json::from_str(json).map_err(refuse("arguments are not a JSON array")),
        None if description["arguments"].is_null() => Ok(Vec::new()),
        None => serde_json::from_value(description["arguments"].clone())
            .map_err(refuse("arguments are not texts")),
    }
}

pub(super) fn port(
    handler: &Value,
    overrides: &Overrides<'_>,
) -> Result<Option<u16>, HostConfigurationError> {
    let text = match (
        overrides.get("AzureFunctionsJobHost__customHandler__port"),
        &handler["port"],
    ) {
        (Some(text), _) => text.clone(),
        (None, Value::Null) => return Ok(None),
        (None, Value::String(text)) => text.clone(),
        (None, number) => number.to_string(),
    };
    text.parse()
        .map(Some)
        .map_err(refuse("port is not a number"))
}
