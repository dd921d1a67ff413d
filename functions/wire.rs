//! Lenient readers of JSON whose shape Microsoft defines.
//!
//! A value of an unexpected type is read as text where that is possible, and never
//! fails its row.

mod optional;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value;

pub(crate) use optional::{flag, instant, number, optional_text};

/// Reads a text, number or Boolean as text, a list or object as its JSON, and null as
/// empty.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Text)
}

/// Reads a list of texts, also when it is written as one text.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts)
}

/// As [`text`], in lowercase.
pub(crate) fn lower<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(text(deserializer)?.to_ascii_lowercase())
}

/// Reads a list, which may also be null or the JSON text of one. Items of another shape
/// are left out.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> Deserialize<'a>,
{
    let items = match Value::deserialize(deserializer)? {
        Value::Array(items) => items,
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        _ => Vec::new(),
    };
    let read = items.into_iter().map(serde_json::from_value);
    Ok(read.filter_map(Result::ok).collect())
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<String, E> {
        Ok(if flag { "True" } else { "False" }.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<String, A::Error> {
        let list = Value::deserialize(SeqAccessDeserializer::new(items))?;
        Ok(list.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<String, A::Error> {
        let object = Value::deserialize(MapAccessDeserializer::new(fields))?;
        Ok(object.to_string())
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    /// Hunting returns dynamic columns as the text of a JSON list.
    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let texts = serde_json::from_str::<Vec<Loose>>(text);
        Ok(texts.map_or_else(
            |_| vec![text.to_owned()],
            |texts| texts.into_iter().map(|Loose(text)| text).collect(),
        ))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Vec<String>, E> {
        Ok(vec![number.to_string()])
    }

    fn visit_i64<E>(self, number: i64) -> Result<Vec<String>, E> {
        Ok(vec![number.to_string()])
    }

    fn visit_f64<E>(self, number: f64) -> Result<Vec<String>, E> {
        Ok(vec![number.to_string()])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Vec<String>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(Loose(text)) = items.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

#[derive(Deserialize)]
pub(crate) struct Loose(#[serde(deserialize_with = "text")] pub(crate) String);

#[cfg(test)]
mod tests;
