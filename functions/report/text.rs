//! Text that others wrote, made safe to show.

use std::fmt::Write;

use serde::Serialize;

/// Shows invisible characters, and those that reorder text, as `\u{XXXX}`.
///
/// These are control characters, line breaks, zero-width and bidirectional marks.
/// All other characters stay as they are.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{{{:04X}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A value as indented JSON that ends with a line break.
///
/// Invisible characters are escaped even where JSON does not require it, because a
/// terminal may show the text.
///
/// # Errors
/// [`serde_json::Error`] for a value that JSON cannot represent, such as a map whose
/// keys are not strings.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let plain = serde_json::to_string_pretty(value)?;
    let mut shown = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        if hides(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown.push('\n');
    Ok(shown)
}

/// Reasons in one sentence; items that failed for the same reason are named together.
pub fn together(reasons: &[String]) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for reason in reasons {
        let (what, why) = reason.split_once(": ").unwrap_or(("", reason));
        match groups.iter_mut().find(|(_, known)| *known == why) {
            Some((whats, _)) => whats.push(what),
            None => groups.push((vec![what], why)),
        }
    }
    let sentences = groups.iter().map(|(whats, why)| match whats.join(", ") {
        what if what.is_empty() => (*why).to_owned(),
        what => format!("{what}: {why}"),
    });
    sentences.collect::<Vec<_>>().join("; ")
}

/// A number with its noun: `1 hash`, `2 hashes`.
///
/// A phrase may take the place of the noun: `1 row has`, `2 rows have`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns true if a character is invisible or reorders the text around it.
pub fn hides(c: char) -> bool {
    let invisible = [
        '\u{00AD}', '\u{061C}', '\u{115F}', '\u{1160}', '\u{180E}', '\u{2028}', '\u{2029}',
        '\u{2800}', '\u{3164}', '\u{FEFF}', '\u{FFA0}',
    ];
    c.is_control()
        || invisible.contains(&c)
        || ('\u{200B}'..='\u{200F}').contains(&c)
        || ('\u{202A}'..='\u{202E}').contains(&c)
        || ('\u{2060}'..='\u{206F}').contains(&c)
        || ('\u{FE00}'..='\u{FE0F}').contains(&c)
        || ('\u{FFF9}'..='\u{FFFB}').contains(&c)
        || ('\u{E0000}'..='\u{E0FFF}').contains(&c)
        || c == '\u{034F}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_for_the_same_reason_is_reported_together() {
        let reasons = [
            "one: no token: ask",
            "two: no token: ask",
            "three: late",
            "single",
        ];
        let sentence = together(&reasons.map(str::to_owned));
        assert_eq!(sentence, "one, two: no token: ask; three: late; single");
    }

    #[test]
    fn what_cannot_be_seen_is_shown_and_letters_stay() {
        assert_eq!(
            visible("a\u{202e}b\u{1b}[31m\n\u{200b}"),
            "a\\u{202E}b\\u{001B}[31m\\u{000A}\\u{200B}"
        );
        assert_eq!(visible("Müller GmbH 株式会社"), "Müller GmbH 株式会社");
    }

    #[test]
    fn json_hides_nothing_and_says_the_same() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}[31m\n\u{e0041}ü" });
        let text = json(&value).unwrap();
        assert_eq!(
            text,
            "{\n  \"name\": \"a\\u202eb\\u009b[31m\\n\\udb40\\udc41ü\"\n}\n"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
