//! Evidence beside a verdict: what the tenant knows of a file.
//!
//! It never changes the verdict. Each source stands for itself: one that could
//! not be read says why, and the others are there.
//! Sources: <https://learn.microsoft.com/defender-endpoint/api/get-file-statistics>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-file-related-alerts>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-file-related-machines>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-ti-indicators-collection>

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    FileHash, ItemError,
    file_profile::{instant, number, text},
};

/// Most items of a source that an answer shows; `count` has them all.
pub const MAX_SHOWN: usize = 20;

/// One source: what it says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Source<T> {
    /// What it says; its fields lie beside `error`. Absent with an error.
    #[serde(flatten)]
    pub data: Option<T>,
    /// Why it could not be read; null when it could.
    pub error: Option<ItemError>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Source<T> {
    /// What a source says beside an error is nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "T: Deserialize<'de>")]
        struct Told<T> {
            #[serde(flatten)]
            data: Option<T>,
            error: Option<ItemError>,
        }
        let Told { data, error } = Told::deserialize(deserializer)?;
        let data = data.filter(|_| error.is_none());
        Ok(Self { data, error })
    }
}

impl<T> Source<T> {
    /// A source that answered, or one that did not.
    pub fn new(result: Result<T, ItemError>) -> Self {
        match result {
            Ok(data) => Self {
                data: Some(data),
                error: None,
            },
            Err(error) => Self {
                data: None,
                error: Some(error),
            },
        }
    }
}

/// How often the tenant saw a file in the last 30 days. `/files/{id}/stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileStats {
    /// Devices of the tenant that saw it. Sent as a number or a text, under
    /// either of two names; null when not counted.
    #[serde(alias = "orgPrevalence", deserialize_with = "number")]
    pub organization_prevalence: Option<u64>,
    /// When the tenant first saw it.
    #[serde(deserialize_with = "instant")]
    pub org_first_seen: Option<String>,
    /// When the tenant last saw it.
    #[serde(deserialize_with = "instant")]
    pub org_last_seen: Option<String>,
    /// Names under which it was seen most.
    #[serde(deserialize_with = "texts")]
    pub top_file_names: Vec<String>,
}

impl FileStats {
    /// Reads the answer. Of the twin names of a count the first one that holds
    /// a number counts.
    ///
    /// # Errors
    /// When the answer is no object of the documented shape.
    pub fn read(answer: &[u8]) -> Result<Self, serde_json::Error> {
        let mut fields: serde_json::Map<String, Value> = serde_json::from_slice(answer)?;
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

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let items = Option::<Vec<Option<String>>>::deserialize(deserializer)?;
    Ok(items
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .take(MAX_SHOWN)
        .collect())
}

/// An alert that involves a file. `/files/{sha1}/alerts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Alert {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// The Defender incident that it belongs to.
    #[serde(deserialize_with = "number")]
    pub incident_id: Option<u64>,
    /// Its title.
    #[serde(deserialize_with = "text")]
    pub title: Option<String>,
    /// `Informational`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "text")]
    pub severity: Option<String>,
    /// `New`, `InProgress`, `Resolved`; an open set.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// When it was raised.
    #[serde(deserialize_with = "instant")]
    pub alert_creation_time: Option<String>,
}

/// A device that saw a file. `/files/{sha1}/machines`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// Its id in Defender.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// Its full name.
    #[serde(deserialize_with = "text")]
    pub computer_dns_name: Option<String>,
    /// `Active`, `Inactive` and others; an open set.
    #[serde(deserialize_with = "text")]
    pub health_status: Option<String>,
    /// `None`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "text")]
    pub risk_score: Option<String>,
}

/// An Indicator of the tenant for a file. `/indicators`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Indicator {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub id: Option<String>,
    /// The hash that it is for.
    #[serde(deserialize_with = "text")]
    pub indicator_value: Option<String>,
    /// `Allowed`, `Audit`, `Warn`, `Block`, `BlockAndRemediate`; an open set.
    #[serde(deserialize_with = "text")]
    pub action: Option<String>,
    /// Its title.
    #[serde(deserialize_with = "text")]
    pub title: Option<String>,
    /// `Informational`, `Low`, `Medium`, `High`; an open set.
    #[serde(deserialize_with = "text")]
    pub severity: Option<String>,
    /// When it ends; null for never.
    #[serde(deserialize_with = "instant")]
    pub expiration_time: Option<String>,
    /// Device groups that it is for; empty for all devices.
    #[serde(deserialize_with = "texts")]
    pub rbac_group_names: Vec<String>,
}

/// The Indicators of the tenant for a file, under any of its known hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Indicators {
    /// How many the identity can see.
    #[schema(required = false)]
    pub count: usize,
    /// Whether there are more than `items` shows.
    #[schema(required = false)]
    pub more: bool,
    /// The first 20.
    #[schema(required = false)]
    pub items: Vec<Indicator>,
    /// Whether the identity's role shows it those alone that it made itself:
    /// then there may be more.
    #[schema(required = false)]
    pub own_only: bool,
}

impl Indicators {
    /// Counts all, keeps the first ones.
    pub fn new(mut items: Vec<Indicator>, own_only: bool) -> Self {
        let count = items.len();
        items.truncate(MAX_SHOWN);
        Self {
            count,
            more: count > items.len(),
            items,
            own_only,
        }
    }
}

/// Reads the Indicators for `value`.
///
/// # Errors
/// When the answer has another shape, or holds an Indicator of another value:
/// then it was not filtered, and what is not on its page is not known.
pub fn read_indicators(
    answer: &[u8],
    value: FileHash,
) -> Result<Vec<Indicator>, serde_json::Error> {
    let page = serde_json::from_slice::<Page<Indicator>>(answer)?;
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

/// A list of a source: all of them counted, some of them shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed<T> {
    /// How many there are; at least so many where `more` is true.
    #[schema(required = false)]
    pub count: usize,
    /// Whether Defender has more of them on further pages, which are not read.
    #[schema(required = false)]
    pub more: bool,
    /// The first 20; null where the caller may only count them.
    pub items: Option<Vec<T>>,
}

impl<T> Listed<T> {
    /// Counts all, keeps the first ones.
    pub fn new(mut items: Vec<T>) -> Self {
        let count = items.len();
        items.truncate(MAX_SHOWN);
        Self {
            count,
            more: false,
            items: Some(items),
        }
    }
}

/// The evidence that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// How often the tenant saw the file; null unless `include` lists `stats`.
    pub stats: Option<Source<FileStats>>,
    /// Alerts that involve the file; null unless `include` lists `alerts`.
    pub alerts: Option<Source<Listed<Alert>>>,
    /// Devices that saw the file; null unless `include` lists `devices`.
    pub devices: Option<Source<Listed<Device>>>,
    /// The tenant's Indicators for it; null unless `include` lists `indicators`.
    pub indicators: Option<Source<Indicators>>,
}

impl Evidence {
    /// Alerts that were found; 0 where they were not asked for or not read.
    pub fn alert_count(&self) -> usize {
        listed(self.alerts.as_ref()).map_or(0, |alerts| alerts.count)
    }

    /// Devices that were found; 0 where they were not asked for or not read.
    pub fn device_count(&self) -> usize {
        listed(self.devices.as_ref()).map_or(0, |devices| devices.count)
    }

    /// Actions of the Indicators that were found.
    pub fn indicator_actions(&self) -> Vec<&str> {
        let items = listed(self.indicators.as_ref()).map(|found| found.items.iter());
        items
            .into_iter()
            .flatten()
            .filter_map(|indicator| indicator.action.as_deref())
            .collect()
    }

    /// The error of each source that was asked for and could not be read.
    pub fn errors(&self) -> Vec<(&'static str, &ItemError)> {
        let errors = [
            ("stats", self.stats.as_ref().and_then(|s| s.error.as_ref())),
            (
                "alerts",
                self.alerts.as_ref().and_then(|s| s.error.as_ref()),
            ),
            (
                "devices",
                self.devices.as_ref().and_then(|s| s.error.as_ref()),
            ),
            (
                "indicators",
                self.indicators.as_ref().and_then(|s| s.error.as_ref()),
            ),
        ];
        errors
            .into_iter()
            .filter_map(|(source, error)| Some((source, error?)))
            .collect()
    }
}

fn listed<T>(source: Option<&Source<T>>) -> Option<&T> {
    source?.data.as_ref()
}

/// The answer of a list: `{"value": [...]}`.
#[derive(Deserialize)]
struct Page<T> {
    value: Vec<Option<T>>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

/// Reads the answer of a list, also an empty one.
///
/// # Errors
/// When the answer is none of the documented shape.
pub fn read_list<T: for<'de> Deserialize<'de>>(
    answer: &[u8],
) -> Result<Listed<T>, serde_json::Error> {
    let page = serde_json::from_slice::<Page<T>>(answer)?;
    let listed = Listed::new(page.value.into_iter().flatten().collect());
    Ok(Listed {
        more: page.next.is_some(),
        ..listed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_under_both_names_as_number_or_text() {
        for (fields, count) in [
            (r#""organizationPrevalence":14850"#, Some(14_850)),
            (r#""orgPrevalence":"0""#, Some(0)),
            (r#""orgPrevalence":"3","organizationPrevalence":3"#, Some(3)),
            (
                r#""orgPrevalence":"7","organizationPrevalence":null"#,
                Some(7),
            ),
            (r#""orgFirstSeen":null"#, None),
        ] {
            let answer = format!(
                r#"{{"sha1":"x",{fields},"topFileNames":["a.exe"],"globallyPrevalence":1}}"#
            );
            assert_eq!(
                FileStats::read(answer.as_bytes())
                    .unwrap()
                    .organization_prevalence,
                count,
                "{fields}"
            );
        }
        assert!(
            FileStats::read(b"[]").is_err()
                && FileStats::read(br#"{"error":{"code":"x"}}"#).is_err()
        );
        assert_eq!(
            FileStats::read(br#"{"sha1":"x","topFileNames":null}"#)
                .unwrap()
                .top_file_names,
            [""; 0]
        );
    }

    #[test]
    fn a_list_counts_all_and_shows_some() {
        let many = format!(
            r#"{{"value":[{}]}}"#,
            vec![r#"{"id":"a","severity":"High"}"#; 50].join(",")
        );
        let alerts: Listed<Alert> = read_list(many.as_bytes()).unwrap();
        assert_eq!(
            (alerts.count, alerts.items.map(|items| items.len())),
            (50, Some(MAX_SHOWN))
        );
        let none: Listed<Device> = read_list(br#"{"value":[]}"#).unwrap();
        assert_eq!(none.count, 0);
        assert!(read_list::<Device>(b"{}").is_err());
        let paged: Listed<Device> =
            read_list(br#"{"value":[{},null],"@odata.nextLink":"https://x"}"#).unwrap();
        assert_eq!((paged.count, paged.more), (1, true));
    }
}
