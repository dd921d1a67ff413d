//! The reasons why evidence is refused.

/// The reason that a file is not evidence.
///
/// A retry does not help: collect it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than [`MAX_BYTES`](super::MAX_BYTES).
    #[error(
        "the evidence is larger than 4 MiB; the collector writes a few kB, so this is a different file"
    )]
    TooLarge,
    /// Not text.
    #[error("the evidence is neither UTF-8 nor UTF-16 with a byte order mark")]
    NotText,
    /// Not JSON, or only the start of a document.
    #[error(
        "the evidence is not complete JSON (line {line}, column {column}); run the collector again and copy the complete file"
    )]
    NotJson {
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1.
        column: usize,
    },
    /// JSON with other content.
    #[error(
        "this JSON is not evidence: it has none of the parts that the collector writes, such as `mpStatus`"
    )]
    NotEvidence,
    /// A version that is not supported.
    #[error(
        "the evidence has schemaVersion {0}, but this program reads 1; use the collector of the same version: `golden-image script collect-evidence`"
    )]
    Version(String),
}
