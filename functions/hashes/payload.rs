//! The body of `POST /api/hashes`: which hashes a caller asks about.
//!
//! Recognized without a flag: a list; the trigger bodies of Sentinel (incident, alert,
//! entity); the output of the connector's "Entities - Get `FileHashes`"; STAT's base
//! module; any other JSON by its keys; and an advisory as plain text or HTML. An input that is not a hash stays in the
//! list with its reason: nothing that was asked is dropped. Hashes come from entities,
//! never from an incident's title or description.

mod advisory;
mod entities;
mod error;
mod inputs;
mod json;
mod lines;
mod no_repeats;

use std::collections::HashSet;

use serde_json::Value;

use no_repeats::NoRepeats;

pub use error::UnusableRequest;
pub use inputs::Inputs;

/// Most distinct inputs of one request.
pub const MAX_DISTINCT: usize = 1_000;

/// Most inputs of one request, repeated ones counted each time.
pub const MAX_ITEMS: usize = 2_000;

/// Most JSON values of a body, brackets and separators counted.
const MAX_VALUES: usize = 100_000;

/// Reads a body into what was asked, in the order it was asked.
///
/// `content_type` says that the body may be prose (`text/...`); anything else has to be
/// JSON. A text that is JSON is read as JSON.
///
/// # Errors
/// [`UnusableRequest`]; no item is ever dropped silently.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Inputs, UnusableRequest> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(UnusableRequest::Empty);
    }
    let is_text = content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("text/");
    let inputs = match is_text {
        true => read_text_or_json(&decode(body).ok_or(UnusableRequest::NotText)?)?,
        false => read_json(body)?,
    };
    let items = inputs.observables.len();
    let distinct = inputs
        .observables
        .iter()
        .filter_map(|input| input.hash.as_ref().ok())
        .collect::<HashSet<_>>()
        .len();
    if distinct > MAX_DISTINCT || items > MAX_ITEMS {
        return Err(UnusableRequest::TooMany { items, distinct });
    }
    Ok(inputs)
}

/// Reads JSON.
fn read_json(body: &[u8]) -> Result<Inputs, UnusableRequest> {
    too_many_values(body)?;
    let value: Value = serde_json::from_slice(body).map_err(|error| UnusableRequest::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    serde_json::from_slice::<NoRepeats>(body).map_err(|_| UnusableRequest::RepeatedKey)?;
    json::read(&value)
}

/// Reads a text; one that is JSON is read as JSON, whatever its content type says.
fn read_text_or_json(text: &str) -> Result<Inputs, UnusableRequest> {
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    if trimmed.starts_with(['{', '[', '"']) && serde_json::from_str::<Value>(trimmed).is_ok() {
        match read_json(trimmed.as_bytes()) {
            // Prose may be valid JSON too, such as a quoted sentence.
            Err(UnusableRequest::UnknownShape) => {}
            read => return read,
        }
    }
    Ok(lines::read(text).unwrap_or_else(|| advisory::read(text)))
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

/// Reads a file or a pasted text: JSON of any known shape, a list, a table, an advisory.
///
/// As [`parse`] of a text, without a limit on the number of items.
pub fn read_text(text: &str) -> Inputs {
    read_text_or_json(text).unwrap_or_else(|_| advisory::read(text))
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

#[cfg(test)]
mod tests;

#[cfg(test)]
mod generated;
