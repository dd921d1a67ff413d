//! The body of `POST /api/hashes`: which hashes a caller asks about.
//!
//! Recognized without a flag: a list; the trigger bodies of Sentinel (incident, alert,
//! entity); the output of the connector's "Entities - Get `FileHashes`"; STAT's base
//! module; and an advisory as plain text or HTML. An input that is not a hash stays in the
//! list with its reason: nothing that was asked is dropped. Hashes come from entities,
//! never from an incident's title or description.

mod advisory;
mod entities;
mod error;
mod no_repeats;

use std::collections::HashSet;

use serde_json::Value;

use super::{Observable, UnusableHash};
use no_repeats::NoRepeats;

pub use error::UnusableRequest;

/// Most distinct inputs of one request.
pub const MAX_DISTINCT: usize = 1_000;

/// Most inputs of one request, repeated ones counted each time.
pub const MAX_ITEMS: usize = 2_000;

/// Most JSON values of a body, brackets and separators counted.
const MAX_VALUES: usize = 100_000;

/// Reads a body into what was asked, in the order it was asked.
///
/// `content_type` decides between text (`text/...`) and JSON (anything else).
///
/// # Errors
/// [`UnusableRequest`]; no item is ever dropped silently.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Observable>, UnusableRequest> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(UnusableRequest::Empty);
    }
    let inputs = if content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("text/")
    {
        advisory::hashes(&decode(body).ok_or(UnusableRequest::NotText)?)
    } else {
        too_many_values(body)?;
        let value: Value =
            serde_json::from_slice(body).map_err(|error| UnusableRequest::NotJson {
                line: error.line(),
                column: error.column(),
            })?;
        serde_json::from_slice::<NoRepeats>(body).map_err(|_| UnusableRequest::RepeatedKey)?;
        recognize(&value)?
    };
    let distinct = inputs
        .iter()
        .filter_map(|input| input.hash.as_ref().ok())
        .collect::<HashSet<_>>()
        .len();
    if distinct > MAX_DISTINCT || inputs.len() > MAX_ITEMS {
        return Err(UnusableRequest::TooMany {
            items: inputs.len(),
            distinct,
        });
    }
    Ok(inputs)
}

/// The text in these bytes: UTF-16 if its mark says so, else UTF-8, in which an invalid
/// byte ends a word. `None` if it is not text.
pub fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        Some(
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(' '))
                .collect(),
        )
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0x1f, 0x8b, ..] => None,
        bytes if bytes.contains(&0) => None,
        bytes => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// Reads a file of hashes, or an advisory.
///
/// If every line is one word, it is a list, and a line that is not a hash stays in it with
/// its reason. Otherwise it is prose, and its hashes are extracted. Empty lines and lines
/// that start with `#` are skipped.
pub fn read_text(text: &str) -> Vec<Observable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let list: Vec<Observable> = lines.clone().map(Observable::parse).collect();
    let is_list = lines
        .zip(&list)
        .all(|(line, input)| input.hash.is_ok() || !line.contains(char::is_whitespace));
    if is_list {
        list
    } else {
        advisory::hashes(text)
    }
}

/// Refuses what would take far more memory as values than as text.
fn too_many_values(body: &[u8]) -> Result<(), UnusableRequest> {
    let values = body.iter().filter(|byte| b",:[{".contains(byte)).count();
    if values > MAX_VALUES {
        Err(UnusableRequest::TooMany {
            items: values,
            distinct: values,
        })
    } else {
        Ok(())
    }
}

fn recognize(body: &Value) -> Result<Vec<Observable>, UnusableRequest> {
    let too_many = || UnusableRequest::TooMany {
        items: MAX_VALUES,
        distinct: MAX_VALUES,
    };
    match body {
        Value::Array(items) if items.iter().any(entities::is_entity) => {
            // What is neither an entity nor a text stays, with its reason.
            let (known, odd): (Vec<_>, Vec<_>) = items
                .iter()
                .cloned()
                .partition(|item| item.is_string() || entities::is_entity(item));
            let mut inputs = entities::hashes(&known).ok_or_else(too_many)?;
            inputs.extend(odd.iter().map(observable));
            Ok(inputs)
        }
        Value::Array(items) => Ok(items.iter().map(observable).collect()),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("hashes") => {
            let items = fields["hashes"]
                .as_array()
                .ok_or(UnusableRequest::UnknownShape)?;
            Ok(items.iter().map(observable).collect())
        }
        _ => {
            let entities = entities::of_body(body).ok_or(UnusableRequest::UnknownShape)?;
            entities::hashes(&entities).ok_or_else(too_many)
        }
    }
}

fn observable(item: &Value) -> Observable {
    let kind = match item {
        Value::String(text) => return Observable::parse(text),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Observable::unusable(&item.to_string(), UnusableHash::NotText(kind))
}

#[cfg(test)]
mod tests;
