//! The body of `POST /api/hashes`: which hashes a caller asks about.
//!
//! Taken are `{"hashes": [...]}` and a JSON array of texts. An item that is no
//! hash stays in the list with its reason: nothing that was asked is dropped.

use std::collections::HashSet;

use serde_json::Value;

use super::{Observable, UnusableHash};

/// Most distinct inputs of one request.
pub const MAX_DISTINCT: usize = 1_000;

/// Most inputs of one request, repeated ones counted each time.
pub const MAX_ITEMS: usize = 10_000;

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
    /// JSON of another shape.
    #[error(
        "the body has no known shape; send {{\"hashes\": [\"...\"]}} or a JSON array of hashes"
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
            Self::NotJson { .. } | Self::UnknownShape => "unrecognised_body",
            Self::TooMany { .. } => "too_many_hashes",
        }
    }
}

/// Reads a body into what was asked, in the order it was asked.
///
/// # Errors
/// [`UnusableRequest`]; no item is ever dropped silently.
pub fn parse_list(body: &[u8]) -> Result<Vec<Observable>, UnusableRequest> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(UnusableRequest::Empty);
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| UnusableRequest::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    let items = items(body).ok_or(UnusableRequest::UnknownShape)?;
    let distinct = items.iter().collect::<HashSet<_>>().len();
    if distinct > MAX_DISTINCT || items.len() > MAX_ITEMS {
        return Err(UnusableRequest::TooMany {
            items: items.len(),
            distinct,
        });
    }
    Ok(items.iter().map(observable).collect())
}

fn items(body: Value) -> Option<Vec<Value>> {
    match body {
        Value::Array(items) => Some(items),
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("hashes")? {
            Value::Array(items) => Some(items),
            _ => None,
        },
        _ => None,
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
        parse_list(body.as_bytes())
            .expect_err("must be refused")
            .code()
    }

    #[test]
    fn both_shapes_keep_order_and_repeats() {
        for body in [
            format!(r#"{{"hashes":["{SHA1}","x","{SHA1}"]}}"#),
            format!("\u{feff}[\"{SHA1}\",\"x\",\"{SHA1}\"]"),
        ] {
            let texts: Vec<_> = parse_list(body.as_bytes())
                .unwrap()
                .into_iter()
                .map(|item| item.text)
                .collect();
            assert_eq!(texts, [SHA1, "x", SHA1]);
        }
        assert_eq!(parse_list(b"[]"), Ok(vec![]));
    }

    #[test]
    fn items_that_are_no_text_stay_as_invalid_items() {
        let items = parse_list(br#"[null, 7, ["a"], {"a":1}, true]"#).unwrap();
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
        ] {
            assert_eq!(code(body), expected, "{body}");
        }
    }

    #[test]
    fn more_than_a_thousand_distinct_inputs_are_refused() {
        let list = |count: usize| serde_json::to_string(&(0..count).collect::<Vec<_>>()).unwrap();
        assert_eq!(parse_list(list(1_000).as_bytes()).unwrap().len(), 1_000);
        assert_eq!(code(&list(1_001)), "too_many_hashes");
        assert_eq!(
            code(&serde_json::to_string(&vec![1; 10_001]).unwrap()),
            "too_many_hashes"
        );
    }
}
