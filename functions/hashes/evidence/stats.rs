//! The statistics of Microsoft Defender about a file.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use super::MAX_SHOWN;
use crate::wire::{instant, number};

/// The statistics of a file in the tenant over the last 30 days. `/files/{id}/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileStats {
    /// Devices of the tenant that saw it. Sent as a number or a text, under
    /// either of two names; null when not counted.
    #[serde(alias = "orgPrevalence", deserialize_with = "number")]
    pub organization_prevalence: Option<u64>,
    /// The time at which the tenant first saw it.
    #[serde(deserialize_with = "instant")]
    pub org_first_seen: Option<String>,
    /// The time at which the tenant last saw it.
    #[serde(deserialize_with = "instant")]
    pub org_last_seen: Option<String>,
    /// Names under which it was seen most.
    #[serde(deserialize_with = "texts")]
    pub top_file_names: Vec<String>,
}

impl FileStats {
    /// Reads the response. If a count has two names, the first one with a number counts.
    ///
    /// # Errors
    /// If the response is not an object of the documented shape.
    pub fn read(answer: &[u8]) -> Result<Self, serde_json::Error> {
        let mut fields: serde_json::Map<String, Value> = crate::json::read_object(answer)?;
        if !["sha1", "orgPrevalence", "organizationPrevalence"]
            .iter()
            .any(|name| fields.contains_key(*name))
        {
            return Err(serde_json::Error::custom("neither a file nor a count"));
        }
        let twin = fields.remove("orgPrevalence");
        if let (None | Some(Value::Null), Some(twin)) = (fields.get("organizationPrevalence"), twin)
        {
            fields.insert("organizationPrevalence".to_owned(), twin);
        }
        serde_json::from_value(Value::Object(fields))
    }
}

pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let items = Option::<Vec<Option<String>>>::deserialize(deserializer)?;
    Ok(items
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .take(MAX_SHOWN)
        .collect())
}
