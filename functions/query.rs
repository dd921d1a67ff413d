//! Queries that ship, the rows they give, and parts of a query that is too large.

/// A row of a query, read.
pub trait Record: serde::de::DeserializeOwned {
    /// Identifies it among all rows, compared without case.
    fn id(&self) -> &str;
}

/// A query that ships, and the name under which the manifest has its version.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Name of the file, without its ending.
    pub name: &'static str,
    /// KQL.
    pub text: &'static str,
}

/// Rows, and why they may not be all of them.
#[derive(Clone, Debug)]
pub struct Source<T> {
    /// The rows that came.
    pub rows: Vec<T>,
    /// A sentence; `None` when all rows came.
    pub gap: Option<String>,
}

impl<T> Source<T> {
    /// Whether all rows came.
    pub fn is_complete(&self) -> bool {
        self.gap.is_none()
    }
}

/// A query for the devices whose id falls on `index` of `of` parts, before anything
/// is summarised, so that a part costs less than the whole. Numbers alone are put
/// into it.
pub fn part(query: Query, of: usize, index: usize) -> String {
    let filter = format!("| where hash(DeviceId, {of}) == {index}");
    query.text.replace("// part", &filter)
}
