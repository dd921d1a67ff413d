//! The evidence about a machine, from the collector or from `ConvertTo-Json`.

mod error;
mod value;

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::item::{Outcome, not_assessable};
use crate::report::text::visible;
use value::{known, odd, text, time_of_day, truth};

pub use error::EvidenceError;
pub(crate) use value::{field, hidden, instant, items, number};

/// The maximum size of evidence, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The supported version of the document.
const SCHEMA_VERSION: i64 = 1;

/// The parts of a document, of which it must have at least one.
const PARTS: [&str; 10] = [
    "os", "svc", "reg", "fs", "gp", "task", "policy", "events", "mpStatus", "mpPref",
];

/// The evidence about one machine.
///
/// Names are compared without case, as PowerShell does. A part that was not collected
/// cannot be assessed, which is not the same as an empty part.
#[derive(Clone, Debug)]
pub struct Evidence {
    root: Map<String, Value>,
}

pub(super) type Read<T> = Result<T, Outcome>;

impl Evidence {
    /// Reads a document in UTF-8 or, as Windows PowerShell writes it, UTF-16.
    ///
    /// # Errors
    /// [`EvidenceError`] when the document is not evidence.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_BYTES {
            return Err(EvidenceError::TooLarge);
        }
        let text = text(bytes).ok_or(EvidenceError::NotText)?;
        let value: Value = serde_json::from_str(&text).map_err(|error| EvidenceError::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
        let root = match value {
            Value::Object(root) => root,
            Value::Array(mut list) if list.len() == 1 => match list.pop() {
                Some(Value::Object(root)) => root,
                _ => return Err(EvidenceError::NotEvidence),
            },
            _ => return Err(EvidenceError::NotEvidence),
        };
        if !PARTS.iter().any(|part| field(&root, part).is_some()) {
            return Err(EvidenceError::NotEvidence);
        }
        match field(&root, "schemaVersion") {
            None => {}
            Some(version) if number(version) == Some(SCHEMA_VERSION) => {}
            Some(version) => {
                let shown: String = version.to_string().chars().take(40).collect();
                return Err(EvidenceError::Version(visible(&shown)));
            }
        }
        Ok(Self { root })
    }

    /// The time of the collection, RFC 3339; empty when the document does not say.
    pub fn collected_at(&self) -> String {
        let at = field(&self.root, "collectedAt").and_then(instant);
        at.and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_default()
    }

    /// The name of the machine; empty when the document does not say.
    pub fn host(&self) -> String {
        let host = field(&self.root, "host");
        let name = match host {
            Some(Value::Object(host)) => field(host, "name"),
            other => other,
        };
        name.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The role that was given to the collector.
    pub fn role(&self) -> Option<super::Role> {
        if let Some(role) = field(&self.root, "role") {
            return role.as_str()?.parse().ok();
        }
        let golden = self.bool("host", "isGoldenImage").ok()?;
        Some(match golden {
            true => super::Role::Golden,
            false => super::Role::Pooled,
        })
    }

    /// Returns true if a part has a value of this name, readable or hidden.
    pub(super) fn has(&self, part: &str, name: &str) -> bool {
        matches!(field(&self.root, part), Some(Value::Object(holder)) if field(holder, name).is_some())
    }

    /// A value: `Ok(None)` when the collector looked for it and it does not exist.
    pub(super) fn value(&self, part: &str, name: &str) -> Read<Option<&Value>> {
        let holder = match field(&self.root, part) {
            Some(Value::Object(holder)) => holder,
            Some(Value::String(text)) => return Err(not_assessable(text)),
            _ => return Err(not_assessable(&format!("{part} was not collected"))),
        };
        match field(holder, name) {
            None => Err(not_assessable(&format!("{part}.{name} was not collected"))),
            Some(value) => known(value),
        }
    }

    pub(super) fn bool(&self, part: &str, name: &str) -> Read<bool> {
        let value = self.there(part, name)?;
        truth(value).ok_or_else(|| odd(part, name, value))
    }

    pub(super) fn number(&self, part: &str, name: &str) -> Read<i64> {
        let value = self.there(part, name)?;
        number(value).ok_or_else(|| odd(part, name, value))
    }

    pub(super) fn text(&self, part: &str, name: &str) -> Read<String> {
        match self.value(part, name)? {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Array(texts)) => Ok(texts
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("|")),
            Some(value) => Err(odd(part, name, value)),
        }
    }

    pub(super) fn instant(&self, part: &str, name: &str) -> Read<Option<OffsetDateTime>> {
        match self.value(part, name)? {
            None => Ok(None),
            Some(value) => instant(value)
                .map(Some)
                .ok_or_else(|| odd(part, name, value)),
        }
    }

    /// Seconds since midnight.
    pub(super) fn time_of_day(&self, part: &str, name: &str) -> Read<i64> {
        let value = self.there(part, name)?;
        time_of_day(value).ok_or_else(|| odd(part, name, value))
    }

    /// A list of texts; none for null, one for a text that PowerShell unrolled.
    pub(super) fn texts(&self, part: &str, name: &str) -> Read<Vec<String>> {
        let Some(value) = self.value(part, name)? else {
            return Ok(Vec::new());
        };
        let mut texts = Vec::new();
        for value in items(value) {
            match value {
                Value::String(text) if hidden(text) => return Err(not_assessable(text)),
                Value::String(text) => texts.push(text.clone()),
                Value::Null => {}
                other => return Err(odd(part, name, other)),
            }
        }
        Ok(texts)
    }

    /// The records of a part that is a list.
    pub(super) fn records(&self, part: &str) -> Read<Vec<&Map<String, Value>>> {
        match field(&self.root, part) {
            None => Err(not_assessable(&format!("{part} was not collected"))),
            Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Err(not_assessable(text)),
            // An item that is not a record may be the one that matters.
            Some(value) => items(value)
                .iter()
                .map(|item| item.as_object().ok_or_else(|| odd(part, "[]", item)))
                .collect(),
        }
    }

    /// A registry key: `None` when it does not exist.
    pub(super) fn key(&self, path: &str) -> Read<Option<&Map<String, Value>>> {
        match self.value("reg", path)? {
            None => Ok(None),
            Some(Value::Object(key)) => Ok(Some(key)),
            Some(value) => Err(odd("reg", path, value)),
        }
    }

    /// A registry value: `None` when it, or its key, does not exist.
    pub(super) fn registry(&self, path: &str, name: &str) -> Read<Option<&Value>> {
        match self.key(path)?.and_then(|key| field(key, name)) {
            None => Ok(None),
            Some(value) => known(value),
        }
    }

    fn there(&self, part: &str, name: &str) -> Read<&Value> {
        self.value(part, name)?
            .ok_or_else(|| not_assessable(&format!("{part}.{name} has no value")))
    }
}
