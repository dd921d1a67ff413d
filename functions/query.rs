//! Built-in queries, their rows, and the parts of a query that is too large.

/// A row that a query returned.
pub trait Record: serde::de::DeserializeOwned {
    /// Returns the id that identifies the row, compared without case.
    fn id(&self) -> &str;
}

/// A built-in query, with the name of its version in the manifest.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The name of the file, without its extension.
    pub name: &'static str,
    /// The KQL text.
    pub text: &'static str,
}

/// Rows, and the reason that some may be missing.
#[derive(Clone, Debug)]
pub struct Source<T> {
    /// The rows that were read.
    pub rows: Vec<T>,
    /// The reason that rows are missing, a sentence; `None` if all were read.
    pub gap: Option<String>,
}

impl<T> Source<T> {
    /// Returns true if all rows were read.
    pub fn is_complete(&self) -> bool {
        self.gap.is_none()
    }
}

/// The query for the devices whose id belongs to part `index` of `of` parts.
///
/// Rows are filtered before they are summarized, so a part costs less than the
/// complete query. Only numbers are put into the text.
pub fn part(query: Query, of: usize, index: usize) -> String {
    let filter = format!("| where hash(DeviceId, {of}) == {index}");
    query.text.replace("// part", &filter)
}
