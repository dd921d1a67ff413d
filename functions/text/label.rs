//! Labels of digests: words before a value, keys of JSON, heads of columns.

/// The meaning of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// The hash of a file, of any kind.
    FileHash,
    /// An Authenticode hash, which the Files API does not know.
    Authenticode,
    /// Another digest or an id, which looks like the hash of a file.
    Other,
}

/// Labels without regard to case, blanks, `-` and `_`.
const LABELS: [(&str, Label); 38] = [
    ("sha1", Label::FileHash),
    ("sha256", Label::FileHash),
    ("md5", Label::FileHash),
    ("hash", Label::FileHash),
    ("hashes", Label::FileHash),
    ("filehash", Label::FileHash),
    ("ioc", Label::FileHash),
    ("sha256ac", Label::Authenticode),
    ("authenticode", Label::Authenticode),
    ("authenticodehash", Label::Authenticode),
    ("imphash", Label::Other),
    ("gimphash", Label::Other),
    ("peimphash", Label::Other),
    ("authentihash", Label::Other),
    ("pe1", Label::Other),
    ("pe256", Label::Other),
    ("pehash", Label::Other),
    ("richhash", Label::Other),
    ("richpe", Label::Other),
    ("richpeheaderhash", Label::Other),
    ("vhash", Label::Other),
    ("tlsh", Label::Other),
    ("ssdeep", Label::Other),
    ("telfhash", Label::Other),
    ("sha224", Label::Other),
    ("sha384", Label::Other),
    ("sha512", Label::Other),
    ("sha3256", Label::Other),
    ("thumbprint", Label::Other),
    ("certthumbprint", Label::Other),
    ("certificatethumbprint", Label::Other),
    ("signerhash", Label::Other),
    ("serialnumber", Label::Other),
    ("deviceid", Label::Other),
    ("mdatpdeviceid", Label::Other),
    ("machineid", Label::Other),
    ("aaddeviceid", Label::Other),
    ("senseid", Label::Other),
];

/// The meaning of a label; `None` for an unknown one.
pub(crate) fn label_of(text: &str) -> Option<Label> {
    let plain: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    LABELS
        .iter()
        .find(|(label, _)| *label == plain)
        .map(|(_, meaning)| *meaning)
}

/// Longest label that is looked for before a value, in bytes.
const MAX_LABEL: usize = 40;

/// The label right before a value on the same line, such as `IMPHASH=` or `"machineId": "`.
pub(super) fn before(line: &str) -> Option<Label> {
    let line =
        line.trim_end_matches([' ', '\t', '"', '\'', '=', ':', '>', '(', '[', '|', '`', '*']);
    let start = line
        .char_indices()
        .rev()
        .take(MAX_LABEL)
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || "-_ ".contains(*c))
        .last()
        .map_or(line.len(), |(at, _)| at);
    let words = &line[start..];
    // The longest label wins: `certificate thumbprint` before `thumbprint`.
    words
        .char_indices()
        .filter(|(at, _)| *at == 0 || words.as_bytes()[at - 1] == b' ')
        .find_map(|(at, _)| label_of(&words[at..]))
}
