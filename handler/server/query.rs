//! Query parameters: one struct for each route is extractor and description.

use std::future::{Ready, ready};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

use super::ApiError;
use super::problem_code::ProblemCode;

/// Query parameters of a route. The struct also derives `utoipa::IntoParams`, so
/// that what is read is what is described.
pub trait FromQuery: Sized {
    /// The names, as in the URL. Another name is refused, so that a misspelled one is
    /// not silently without effect.
    const NAMES: &'static [&'static str];
    /// The names that may be given more than once.
    const REPEATABLE: &'static [&'static str] = &[];

    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 with a code of the route.
    fn from_query(pairs: &QueryPairs) -> Result<Self, ApiError>;
}

/// The parameters of a request, in the order given.
#[derive(Clone, Debug, Default)]
pub struct QueryPairs(Vec<(String, String)>);

impl QueryPairs {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let pair = pairs.find(|(known, _)| known == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// All pairs of name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The parameters of a query, each of them known and given once. The host's own
    /// key parameters are left out.
    ///
    /// # Errors
    /// 400 `unknown_parameter` or `repeated_parameter`.
    pub fn read(
        query: Option<&str>,
        names: &[&str],
        repeatable: &[&str],
    ) -> Result<Self, ApiError> {
        let mut found: Vec<(String, String)> = Vec::new();
        let query = query.unwrap_or_default().as_bytes();
        for (name, value) in url::form_urlencoded::parse(query) {
            if ["code", "clientid"].contains(&name.to_ascii_lowercase().as_str()) {
                continue;
            }
            if !names.contains(&name.as_ref()) {
                return Err(unknown(names));
            }
            let is_repeated = found.iter().any(|(known, _)| *known == name);
            if is_repeated && !repeatable.contains(&name.as_ref()) {
                let detail = format!("the query parameter {name} is given twice");
                return Err(bad(ProblemCode::RepeatedParameter, detail));
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(found))
    }
}

fn unknown(names: &[&str]) -> ApiError {
    let detail = match names {
        [] => "this path takes no query parameters".to_owned(),
        names => format!(
            "this path takes the query parameters {}; docs/api.md describes them",
            names.join(", ")
        ),
    };
    bad(ProblemCode::UnknownParameter, detail)
}

fn bad(code: ProblemCode, detail: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, detail)
}

/// Extracts the query parameters of a route.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: FromQuery + Send, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, ApiError>> + Send {
        let read = || {
            let pairs = QueryPairs::read(parts.uri.query(), T::NAMES, T::REPEATABLE)?;
            T::from_query(&pairs).map(Self)
        };
        let read: Ready<_> = ready(read());
        read
    }
}

/// A route without query parameters.
#[derive(Clone, Copy, Debug)]
pub struct NoParameters;

impl FromQuery for NoParameters {
    const NAMES: &'static [&'static str] = &[];

    fn from_query(_: &QueryPairs) -> Result<Self, ApiError> {
        Ok(Self)
    }
}
