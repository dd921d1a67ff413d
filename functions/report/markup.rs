//! Escapes for text that others wrote, in HTML and Markdown.

use super::text::visible;

/// Text for an HTML element or a quoted attribute.
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text for a cell of a Markdown table: no link, image, mention, emphasis or
/// HTML comes of it.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            // `:` and `.` would make a bare URL a link.
            ':' if escaped.ends_with("http") || escaped.ends_with("https") => {
                escaped.push_str("&#58;")
            }
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
    fn d04_markdown_of_others_stays_text() {
        let escaped = markdown("[a](https://evil.example) ![i](x) @all **b** | <script>\n");
        assert_eq!(
            escaped,
            "\\[a\\]\\(https&#58;//evil.example\\) \\!\\[i\\]\\(x\\) &#64;all \\*\\*b\\*\\* \\| &lt;script&gt;\\\\u\\{000A\\}"
        );
    }
}
