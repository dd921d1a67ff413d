//! The query parameters of a look-up.

use axum::http::StatusCode;
use serde::{
    Deserialize,
    de::{
        DeserializeOwned,
        value::{Error as ValueError, StrDeserializer},
    },
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{ApiError, Caller, FromQuery, ProblemCode, QueryPairs, Role},
    services::hashes::{DeviceDetail, Include},
};

/// The query parameters of a look-up.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LookupQuery {
    /// Evidence to add. Devices are named only for callers with the role
    /// `Devices.Read`, and counted for others.
    #[param(style = Form, explode = false, inline)]
    include: Option<Vec<Source>>,
    /// Format of the answer: JSON, the comment of an incident as HTML or Markdown, CSV,
    /// or what STAT's scoring module takes.
    #[param(inline)]
    format: Option<Format>,
}

/// A source of evidence: query parameter `include`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum Source {
    Stats,
    Alerts,
    Devices,
    Indicators,
}

/// Format of an answer: query parameter `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Format {
    Json,
    Markdown,
    Html,
    Csv,
    Stat,
}

impl LookupQuery {
    /// The format of the answer.
    pub(super) fn format(&self) -> Format {
        self.format.unwrap_or(Format::Json)
    }

    /// Returns true if only the verdict as JSON is requested.
    pub(super) fn is_plain(&self) -> bool {
        self.format() == Format::Json && self.include.is_none()
    }

    /// The evidence that is added for this caller.
    pub(super) fn include(&self, caller: Option<&Caller>) -> Include {
        let has = |source| self.include.iter().flatten().any(|one| *one == source);
        let sees_devices = caller.is_some_and(|caller| caller.has(Role::DevicesRead));
        let shown = match sees_devices {
            true => DeviceDetail::Listed,
            false => DeviceDetail::Counted,
        };
        Include {
            stats: has(Source::Stats),
            alerts: has(Source::Alerts),
            devices: has(Source::Devices).then_some(shown),
            indicators: has(Source::Indicators),
        }
    }
}

impl FromQuery for LookupQuery {
    const NAMES: &'static [&'static str] = &["format", "include"];

    fn from_query(pairs: &QueryPairs) -> Result<Self, ApiError> {
        let format = pairs.get("format").map(|text| {
            word(text).ok_or_else(|| {
                let detail = "the query parameter format is one of json, markdown, html, csv, stat";
                ApiError::new(StatusCode::BAD_REQUEST, ProblemCode::UnknownFormat, detail)
            })
        });
        let listed = pairs.get("include").unwrap_or_default();
        let sources = listed.split_terminator(',').map(|name| {
            word(name.trim()).ok_or_else(|| {
                let detail = "the query parameter include lists stats, alerts, devices, indicators";
                ApiError::new(StatusCode::BAD_REQUEST, ProblemCode::UnknownInclude, detail)
            })
        });
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        Ok(Self {
            include: (!sources.is_empty()).then_some(sources),
            format: format.transpose()?,
        })
    }
}

/// One of the words of an enumeration.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<ValueError>::new(text)).ok()
}
