//! Settings of Microsoft Graph and of hunting.

use strum::EnumString;
use url::Url;

use super::reader::EnvReader;

pub(super) const SETTINGS: &[&str] = &["GRAPH_URL", "GRAPH_AUDIENCE", "HUNTING_ROUTE"];
pub(super) const PREFIXES: &[&str] = &["GRAPH_", "HUNTING_"];

/// The API that answers hunting queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(
    serialize_all = "lowercase",
    ascii_case_insensitive,
    parse_err_ty = UnknownRoute,
    parse_err_fn = UnknownRoute::new
)]
pub enum HuntingRoute {
    /// Microsoft Graph.
    #[default]
    Graph,
    /// The Defender for Endpoint API, whose route is being retired.
    Defender,
}

/// A word that is not a route.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("`graph` and `defender` are allowed")]
pub struct UnknownRoute;

impl UnknownRoute {
    fn new(_: &str) -> Self {
        Self
    }
}

/// Microsoft Graph.
#[derive(Clone, Debug)]
pub struct GraphSettings {
    /// Base URL, without a path. Setting `GRAPH_URL`, default
    /// `https://graph.microsoft.com`.
    pub url: Url,
    /// Audience of its tokens. Setting `GRAPH_AUDIENCE`, default
    /// `https://graph.microsoft.com`.
    pub audience: String,
    /// The API that answers hunting queries. Setting `HUNTING_ROUTE`, `graph` (default)
    /// or `defender`.
    pub hunting_route: HuntingRoute,
}

impl GraphSettings {
    pub(super) fn read(reader: &mut EnvReader<'_>) -> Self {
        Self {
            url: reader.base_url("GRAPH_URL", "https://graph.microsoft.com"),
            audience: reader.audience("GRAPH_AUDIENCE", "https://graph.microsoft.com"),
            hunting_route: reader.parsed("HUNTING_ROUTE"),
        }
    }
}
