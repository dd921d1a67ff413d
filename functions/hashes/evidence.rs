//! Evidence that accompanies a verdict: statistics, alerts, devices and Indicators of the
//! tenant.
//!
//! It never changes the verdict. Each source is independent: one that could not be read has
//! an error, and the others are complete. Sources:
//! <https://learn.microsoft.com/defender-endpoint/api/get-file-statistics>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-file-related-alerts>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-file-related-machines>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-ti-indicators-collection>

mod read;
mod records;
mod stats;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::ItemError;

pub use read::{read_indicators, read_list};
pub use records::{Alert, Device, Indicator, Indicators};
pub use stats::FileStats;

/// Most items of a source that an answer shows; `count` has them all.
pub const MAX_SHOWN: usize = 20;

/// One source: what it says, or why it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Source<T> {
    /// The data; its fields are on the same level as `error`. Absent with an error.
    #[serde(flatten)]
    pub data: Option<T>,
    /// The reason why it could not be read; null if it was read.
    pub error: Option<ItemError>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Source<T> {
    /// A source with an error has no data.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "T: Deserialize<'de>")]
        struct Wire<T> {
            #[serde(flatten)]
            data: Option<T>,
            error: Option<ItemError>,
        }
        let Wire { data, error } = Wire::deserialize(deserializer)?;
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

/// A list of a source: all of them counted, some of them shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed<T> {
    /// The number of records; the lowest possible one if `more` is true.
    #[schema(required = false)]
    pub count: usize,
    /// True if Defender has more on further pages, which are not read.
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
    /// The number of devices of the tenant that saw the file; null unless `include` lists
    /// `stats`.
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

#[cfg(test)]
mod tests;
