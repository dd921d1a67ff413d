//! Single values of evidence, in every form in which PowerShell writes them.

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Read;
use crate::golden_image::item::{Outcome, not_assessable};

pub(super) fn known(value: &Value) -> Read<Option<&Value>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if hidden(text) => Err(not_assessable(text)),
        value => Ok(Some(value)),
    }
}

/// Returns true if Windows hides the value.
///
/// It then writes `N/A: Must be an administrator...` in place of the value.
pub(crate) fn hidden(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("N/A:"))
}

pub(super) fn odd(part: &str, name: &str, value: &Value) -> Outcome {
    let shown: String = value.to_string().chars().take(120).collect();
    not_assessable(&format!(
        "{part}.{name} is {shown}, which is not a known value"
    ))
}

/// A field, whatever the case of its name.
pub(crate) fn field<'a>(holder: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    holder.get(name).or_else(|| {
        let found = holder
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    })
}

/// The items of a list, also when PowerShell unrolled or wrapped it.
pub(crate) fn items(value: &Value) -> &[Value] {
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

pub(super) fn truth(value: &Value) -> Option<bool> {
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

pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A time as PowerShell 5.1 (`/Date(ms)/`) or 7 (ISO 8601) writes it.
pub(crate) fn instant(value: &Value) -> Option<OffsetDateTime> {
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

pub(super) fn time_of_day(value: &Value) -> Option<i64> {
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

pub(super) fn text(bytes: &[u8]) -> Option<String> {
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
