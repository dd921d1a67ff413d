//! Escapes for text that others wrote, in HTML and Markdown.

use std::fmt::{self, Write};

use super::text::visible;

/// Text for an HTML element or a quoted attribute.
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Writing to a String cannot fail.
    let _ = write_html(&mut escaped, text);
    escaped
}

/// Writes text for an HTML element or a quoted attribute.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write_html(escaped: &mut impl Write, text: &str) -> fmt::Result {
    for c in visible(text).chars() {
        match c {
            '&' => escaped.write_str("&amp;")?,
            '<' => escaped.write_str("&lt;")?,
            '>' => escaped.write_str("&gt;")?,
            '"' => escaped.write_str("&quot;")?,
            '\'' => escaped.write_str("&#39;")?,
            other => escaped.write_char(other)?,
        }
    }
    Ok(())
}

fn ends_with_www(text: &str) -> bool {
    text.len()
        .checked_sub(3)
        .and_then(|start| text.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Text for a cell of a Markdown table.
///
/// It never becomes a link, an image, a mention, emphasis or HTML.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let text = visible(text);
    for (at, c) in text.char_indices() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            // A scheme, or `www.`, would turn the rest into a link.
            ':' if text[at..].starts_with("://") => escaped.push_str("&#58;"),
            '.' if ends_with_www(&text[..at]) => escaped.push_str("&#46;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d05_html_of_others_stays_text() {
        assert_eq!(
            html("<img src=x onerror=\"a('b')\">&\u{202e}"),
            "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;\\u{202E}"
        );
    }

    #[test]
    fn d04_no_bare_address_becomes_a_link() {
        assert_eq!(
            markdown("WWW.evil.example HTTP://evil.example"),
            "WWW&#46;evil.example HTTP&#58;//evil.example"
        );
        assert_eq!(markdown("Trojan:Win32/X"), "Trojan:Win32/X");
    }

    #[test]
    fn d04_markdown_of_others_stays_text() {
        let escaped = markdown("[a](https://evil.example) ![i](x) @all **b** | <script>\n");
        assert_eq!(
            escaped,
            "\\[a\\]\\(https&#58;//evil.example\\) \\!\\[i\\]\\(x\\) &#64;all \\*\\*b\\*\\* \\| &lt;script&gt;\\\\u\\{000A\\}"
        );
    }
}
