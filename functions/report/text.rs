//! Text that others wrote, made safe to show.

use std::fmt::Write;

/// Shows characters that would not be seen, or would reorder what is seen, as
/// `\u{XXXX}`: control characters, line breaks, zero-width and bidirectional
/// marks. Everything else stays as it is.
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

/// Whether a character cannot be seen or reorders what is seen.
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
    fn what_cannot_be_seen_is_shown_and_letters_stay() {
        assert_eq!(
            visible("a\u{202e}b\u{1b}[31m\n\u{200b}"),
            "a\\u{202E}b\\u{001B}[31m\\u{000A}\\u{200B}"
        );
        assert_eq!(visible("Müller GmbH 株式会社"), "Müller GmbH 株式会社");
    }
}
