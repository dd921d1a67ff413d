//! The body of `POST /api/hashes`: which hashes a caller asks about.
//!
//! Recognised without a flag: a list; the trigger bodies of Sentinel (incident,
//! alert, entity); the output of the connector's "Entities - Get `FileHashes`";
//! STAT's base module; and an advisory as plain text or HTML. An input that is
//! no hash stays in the list with its reason: nothing that was asked is dropped.
//! Hashes come from entities, never from an incident's title or description.

mod advisory;
mod entities;

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{Observable, UnusableHash};

/// Most distinct inputs of one request.
pub const MAX_DISTINCT: usize = 1_000;

/// Most inputs of one request, repeated ones counted each time.
pub const MAX_ITEMS: usize = 2_000;

/// Most JSON values of a body, brackets and separators counted.
const MAX_VALUES: usize = 100_000;

/// Why a body holds no list; the text says what to send. A retry of the same
/// body does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableRequest {
    /// No bytes, or blanks only.
    #[error(
        "the body is empty; send {{\"hashes\": [\"...\"]}} with a Content-Length (chunked bodies can get lost on the way)"
    )]
    Empty,
    /// Not JSON.
    #[error("the body is not valid JSON: line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A text in an encoding that is not read, or a compressed one.
    #[error(
        "the body is no text in UTF-8 or UTF-16 (with its mark); send it in one of them, not compressed"
    )]
    NotText,
    /// A key is there twice.
    #[error(
        "an object of the body has a key twice, so it is not clear which one counts; send it once"
    )]
    RepeatedKey,
    /// JSON of another shape.
    #[error(
        "the body has no known shape; send {{\"hashes\": [\"...\"]}}, a JSON array of hashes, a Sentinel trigger body, or text/plain"
    )]
    UnknownShape,
    /// More than [`MAX_DISTINCT`] distinct inputs or [`MAX_ITEMS`] in all.
    #[error(
        "{items} inputs, {distinct} of them distinct, are too many for one call; send at most {MAX_DISTINCT} distinct ones and {MAX_ITEMS} in all"
    )]
    TooMany {
        /// Inputs in the body.
        items: usize,
        /// Distinct inputs in the body.
        distinct: usize,
    },
}

impl UnusableRequest {
    /// Stable code of the problem body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::NotJson { .. } | Self::NotText | Self::RepeatedKey | Self::UnknownShape => {
                "unrecognised_body"
            }
            Self::TooMany { .. } => "too_many_hashes",
        }
    }
}

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
        recognise(&value)?
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

/// The text in these bytes: UTF-16 where its mark says so, else UTF-8, where an
/// odd byte ends a word. `None` for what is no text.
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
/// Where every line is one word it is a list: a line that is no hash stays in
/// it with its reason. Else it is prose, and its hashes are taken out. Empty
/// lines and lines that start with `#` are skipped.
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

/// Refuses an object that has a key twice, at any depth: hashes of the first
/// one would be lost.
struct NoRepeats;

impl<'de> Deserialize<'de> for NoRepeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoRepeats {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((key, _)) = fields.next_entry::<String, Self>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

fn recognise(body: &Value) -> Result<Vec<Observable>, UnusableRequest> {
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
mod tests {
    use super::*;

    const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

    fn code(body: &str) -> &'static str {
        parse("application/json", body.as_bytes())
            .expect_err("must be refused")
            .code()
    }

    #[test]
    fn both_lists_keep_order_and_repeats() {
        for body in [
            format!(r#"{{"hashes":["{SHA1}","x","{SHA1}"]}}"#),
            format!("\u{feff}[\"{SHA1}\",\"x\",\"{SHA1}\"]"),
        ] {
            let inputs = parse("application/json", body.as_bytes()).unwrap();
            let texts: Vec<_> = inputs.into_iter().map(|item| item.text).collect();
            assert_eq!(texts, [SHA1, "x", SHA1]);
        }
        assert_eq!(parse("", b"[]"), Ok(vec![]));
    }

    #[test]
    fn utf16_is_read_and_what_is_no_text_is_refused() {
        let utf16: Vec<u8> = format!("\u{feff}The file {SHA1}.")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(parse("text/plain", &utf16).unwrap()[0].text, SHA1);
        assert!(
            parse("text/plain", &utf16[2..]).is_err()
                && parse("text/plain", b"\x1f\x8b\x08").is_err()
        );
        assert_eq!(
            parse(
                "text/plain",
                format!("a \u{fffd}{SHA1}")
                    .replace('\u{fffd}', "x ")
                    .as_bytes()
            )
            .unwrap()
            .len(),
            1
        );
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_at_any_depth() {
        let body = r#"{"object":{"properties":{"relatedEntities":[1],"relatedEntities":[]}}}"#;
        assert_eq!(
            parse("", body.as_bytes()),
            Err(UnusableRequest::RepeatedKey)
        );
    }

    #[test]
    fn a_file_is_a_list_of_lines_or_an_advisory() {
        let texts = |text: &str| {
            read_text(text)
                .into_iter()
                .map(|input| input.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(&format!("# list\r\n\r\nsha1: {SHA1}\r\nzz\r\n")),
            [SHA1, "zz"]
        );
        assert_eq!(
            texts(&format!("The file {SHA1} was seen.\nBlock it.")),
            [SHA1]
        );
        assert_eq!(texts("no hash here"), Vec::<String>::new());
    }

    #[test]
    fn items_that_are_no_text_stay_as_invalid_items() {
        let items = parse("", br#"[null, 7, ["a"], {"a":1}, true]"#).unwrap();
        assert!(
            items
                .iter()
                .all(|item| matches!(item.hash, Err(UnusableHash::NotText(_))))
        );
        assert_eq!(items[2].text, r#"["a"]"#);
    }

    #[test]
    fn other_bodies_are_refused_with_a_code() {
        for (body, expected) in [
            ("", "empty_body"),
            (" \n", "empty_body"),
            ("{", "unrecognised_body"),
            ("{}", "unrecognised_body"),
            (r#"{"hashes":"x"}"#, "unrecognised_body"),
            (r#"{"hashes":[],"other":1}"#, "unrecognised_body"),
            ("null", "unrecognised_body"),
            (r#"{"hashes":["a"],"hashes":["b"]}"#, "unrecognised_body"),
        ] {
            assert_eq!(code(body), expected, "{body}");
        }
    }

    #[test]
    fn more_than_a_thousand_distinct_inputs_are_refused() {
        let hash = |number: usize| format!("{number:040x}");
        let list = |count: usize| {
            serde_json::to_string(&(0..count).map(hash).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(parse("", list(1_000).as_bytes()).unwrap().len(), 1_000);
        assert_eq!(code(&list(1_001)), "too_many_hashes");
        assert_eq!(
            code(&serde_json::to_string(&vec![1; 2_001]).unwrap()),
            "too_many_hashes"
        );
    }
}
