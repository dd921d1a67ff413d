//! Readers of values that may be missing.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Longest text that is kept, in characters; real ones are far shorter.
const MAX_TEXT: usize = 1_024;

/// Reads a text, or any other value as JSON, so that a rule sees that something is there.
/// Null and blank texts are `None`.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(cut(text)),
        other => Some(cut(other.to_string())),
    })
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Reads a number of at least 0, also as text; `None` for any other value.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// Reads a Boolean, also as text in any case; `None` for any other value.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    })
}

/// Reads a time as it is written; `None` for the year 1, which stands for never.
pub(crate) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(optional_text(deserializer)?.filter(|instant| !instant.starts_with("0001-01-01")))
}
