//! HTTP and timer triggers, one file per capability: extractors in, service call,
//! answer out. The description of a route stands on its handler.

pub mod coverage;
pub mod explorer;
pub mod golden_image;
pub mod hashes;
pub mod health;
pub mod report;
pub mod timer;
pub mod vdi;

use std::{
    borrow::Cow,
    future::{Ready, ready},
    sync::Arc,
};

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use percent_encoding::percent_decode_str;

use crate::{config::ApiAuth, server::Gate, services::Services};
use explorer::Explorer;

/// Everything that the routes may use.
#[derive(Debug)]
pub struct RouteContext {
    /// The use cases.
    pub services: Services,
    /// The gate, for routes that decide themselves who may call.
    pub gate: Gate,
    /// Setting `API_AUTH`.
    pub auth: ApiAuth,
    /// The page to try the API with, and the descriptions.
    pub explorer: Explorer,
}

/// The state of every route.
pub type RouteState = Arc<RouteContext>;

/// The last segment of the path.
#[derive(Clone, Debug)]
pub(crate) struct Segment(Uri);

impl Segment {
    /// The segment, decoded; what is not UTF-8 is replaced.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        last_segment(&self.0)
    }
}

/// The last segment of a path, decoded; what is not UTF-8 is replaced.
pub(crate) fn last_segment(uri: &Uri) -> Cow<'_, str> {
    let segment = uri.path().rsplit('/').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy()
}

impl<S: Sync> FromRequestParts<S> for Segment {
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        let read: Ready<_> = ready(Ok(Self(parts.uri.clone())));
        read
    }
}
