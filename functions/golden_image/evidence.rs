//! The evidence about a machine, from the collector or from `ConvertTo-Json`.

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::item::{Outcome, not_assessable};
use crate::report::text::visible;

/// The maximum size of evidence, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The supported version of the document.
const SCHEMA_VERSION: i64 = 1;

/// The parts of a document, of which it must have at least one.
const PARTS: [&str; 10] = [
    "os", "svc", "reg", "fs", "gp", "task", "policy", "events", "mpStatus", "mpPref",
];

/// The reason that a file is not evidence.
///
/// A retry does not help: collect it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than [`MAX_BYTES`].
    #[error(
        "the evidence is larger than 4 MiB; the collector writes a few kB, so this is a different file"
    )]
    TooLarge,
    /// Not text.
    #[error("the evidence is neither UTF-8 nor UTF-16 with a byte order mark")]
    NotText,
    /// Not JSON, or only the start of a document.
    #[error(
        "the evidence is not complete JSON (line {line}, column {column}); run the collector again and copy the complete file"
    )]
    NotJson {
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1.
        column: usize,
    },
    /// JSON with other content.
    #[error(
        "this JSON is not evidence: it has none of the parts that the collector writes, such as `mpStatus`"
    )]
    NotEvidence,
    /// A version that is not supported.
    #[error(
        "the evidence has schemaVersion {0}, but this program reads 1; use the collector of the same version: `golden-image script collect-evidence`"
    )]
    Version(String),
}

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

fn known(value: &Value) -> Read<Option<&Value>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if hidden(text) => Err(not_assessable(text)),
        value => Ok(Some(value)),
    }
}

/// Returns true if Windows hides the value.
///
/// It then writes `N/A: Must be an administrator...` in place of the value.
pub(super) fn hidden(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("N/A:"))
}

fn odd(part: &str, name: &str, value: &Value) -> Outcome {
    let shown: String = value.to_string().chars().take(120).collect();
    not_assessable(&format!(
        "{part}.{name} is {shown}, which is not a known value"
    ))
}

/// A field, whatever the case of its name.
pub(super) fn field<'a>(holder: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    holder.get(name).or_else(|| {
        let found = holder
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    })
}

/// The items of a list, also when PowerShell unrolled or wrapped it.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Object(wrapped) if wrapped.len() == 2 && wrapped.contains_key("Count") => {
            match field(wrapped, "value") {
                Some(Value::Array(list)) => list,
                _ => std::slice::from_ref(value),
            }
        }
        other => std::slice::from_ref(other),
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        other => match number(other)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A time as PowerShell 5.1 (`/Date(ms)/`) or 7 (ISO 8601) writes it.
pub(super) fn instant(value: &Value) -> Option<OffsetDateTime> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(wrapped) => field(wrapped, "value")?.as_str()?,
        _ => return None,
    };
    if let Some(rest) = text.strip_prefix("/Date(") {
        let inner = rest.strip_suffix(")/")?;
        let zone = inner.get(1..)?.find(['+', '-']);
        let end = zone.map_or(inner.len(), |at| at + 1);
        let milliseconds: i64 = inner.get(..end)?.parse().ok()?;
        return OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1_000)).ok();
    }
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn time_of_day(value: &Value) -> Option<i64> {
    const DAY: i64 = 86_400;
    let seconds = match value {
        Value::Object(span) => match field(span, "Ticks") {
            Some(ticks) => number(ticks)? / 10_000_000,
            None => {
                let part = |name| field(span, name).and_then(number);
                part("Hours")? * 3_600 + part("Minutes")? * 60 + part("Seconds").unwrap_or(0)
            }
        },
        Value::String(text) => {
            let clock = text.rsplit(['T', ' ']).next()?;
            let mut parts = clock.split(':');
            let mut part = |most: i64| {
                let digits: String = parts
                    .next()?
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                digits.parse().ok().filter(|part| (0..most).contains(part))
            };
            part(24)? * 3_600 + part(60)? * 60 + part(60).unwrap_or(0)
        }
        _ => return None,
    };
    (0..DAY).contains(&seconds).then_some(seconds)
}

fn text(bytes: &[u8]) -> Option<String> {
    let units = |bytes: &[u8], of: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes
            .chunks_exact(2)
            .map(|pair| of([pair[0], pair[1]]))
            .collect()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => String::from_utf16(&units(rest, u16::from_le_bytes)).ok(),
        [0xFE, 0xFF, rest @ ..] => String::from_utf16(&units(rest, u16::from_be_bytes)).ok(),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        all => String::from_utf8(all.to_vec()).ok(),
    }
}
