//! JSON that other services send.

use serde::de::{DeserializeOwned, Error as _};

/// Reads JSON whose texts may hold half a character, as names on Windows can.
///
/// Half a character becomes a replacement character, so nothing else is lost.
///
/// # Errors
/// Those of [`serde_json::from_slice`].
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| match without_lone_surrogates(text) {
        Some(text) => serde_json::from_slice(&text),
        None => Err(error),
    })
}

/// As [`read`], for a record, which is a JSON object: an array is not read as its fields
/// by position.
///
/// # Errors
/// Those of [`read`], and for a value that is not an object.
pub fn read_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => read(text),
        _ => Err(serde_json::Error::custom("not a JSON object")),
    }
}

/// The text with `\uFFFD` for every surrogate without its other half.
///
/// `None` if it has none.
fn without_lone_surrogates(text: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut repaired, mut found, mut at) = (Vec::with_capacity(text.len()), false, 0);
    while at < text.len() {
        let length = match (unit(at), unit(at + 6)) {
            _ if text[at] != b'\\' => 1,
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                repaired.extend(b"\\uFFFD");
                (found, at) = (true, at + 6);
                continue;
            }
            _ => 2.min(text.len() - at),
        };
        repaired.extend(&text[at..at + length]);
        at += length;
    }
    found.then_some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Record {
        name: String,
    }

    #[test]
    fn field_s18_an_array_is_not_a_record() {
        assert!(read_object::<Record>(br#" {"name":"a"}"#).is_ok());
        for text in [r#"["a"]"#, r#""a""#, "null", "", " [] "] {
            assert!(read_object::<Record>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn vdi_d2_half_a_character_costs_no_other_row() {
        let text = br#"["a\ud800b", "\udc00", "\ud83d\ude00", "\\ud800", "c"]"#;
        let found: Vec<String> = super::read(text).unwrap();
        assert_eq!(
            found,
            ["a\u{FFFD}b", "\u{FFFD}", "\u{1F600}", "\\ud800", "c"]
        );
        assert!(super::read::<Vec<String>>(b"[\"\\ud800\"").is_err());
    }

    proptest! {
        #[test]
        fn field_s08_half_a_character_is_replaced_and_nothing_else_changes(
            before in "[a-z\\u{1F600}\\\\\"]{0,8}", unit in 0xD800_u16..0xE000, after in "[a-z]{0,8}",
        ) {
            let quoted = |text: &str| serde_json::to_string(text).unwrap();
            let inner = |text: &str| quoted(text).trim_matches('"').to_owned();
            let start = serde_json::to_string(&before).unwrap();
            let start = &start[..start.len() - 1];
            let text = format!("{start}\\u{unit:04x}{}\"", inner(&after));
            let expected = format!("{before}\u{fffd}{after}");
            prop_assert_eq!(read::<String>(text.as_bytes()).unwrap(), expected);
            let complete = quoted(&format!("{before}{after}"));
            prop_assert_eq!(read::<String>(complete.as_bytes()).unwrap(), format!("{before}{after}"));
        }
    }
}
