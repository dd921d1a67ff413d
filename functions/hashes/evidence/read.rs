//! Reads lists of records from the Defender API.

use serde::{
    Deserialize,
    de::{DeserializeOwned, Error as _},
};

use super::Listed;
use super::records::Indicator;
use crate::{hashes::FileHash, json};

/// Reads the Indicators for `value`.
///
/// # Errors
/// If the response has another shape, or has an Indicator of another value: then it was not
/// filtered, and Indicators on other pages are unknown.
pub fn read_indicators(
    answer: &[u8],
    value: FileHash,
) -> Result<Vec<Indicator>, serde_json::Error> {
    let page = json::read_object::<Page<Indicator>>(answer)?;
    let found: Vec<Indicator> = page.value.into_iter().flatten().collect();
    let is_of_file = |indicator: &Indicator| {
        let text = indicator.indicator_value.as_deref().unwrap_or_default();
        text.eq_ignore_ascii_case(&value.to_string())
    };
    if page.next.is_none() && found.iter().all(is_of_file) {
        Ok(found)
    } else {
        Err(serde_json::Error::custom("not filtered by the hash"))
    }
}

/// The answer of a list: `{"value": [...]}`.
#[derive(Deserialize)]
struct Page<T> {
    value: Vec<Option<T>>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

/// Reads the response for a list, also an empty one.
///
/// # Errors
/// If the response does not have the documented shape.
pub fn read_list<T: DeserializeOwned>(answer: &[u8]) -> Result<Listed<T>, serde_json::Error> {
    let page = json::read_object::<Page<T>>(answer)?;
    let listed = Listed::new(page.value.into_iter().flatten().collect());
    Ok(Listed {
        more: page.next.is_some(),
        ..listed
    })
}
