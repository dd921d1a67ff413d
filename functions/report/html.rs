//! The frame of every HTML report: one file, no script, nothing from elsewhere,
//! light and dark, printable.

use super::markup;

const STYLE: &str = include_str!("report.css");

/// A whole page. `title` is a text, `body` is markup whose texts are escaped.
pub fn page(title: &str, body: &str) -> String {
    let title = markup::html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

/// A figure with what it counts; a bad one stands out.
pub fn figure(count: usize, what: &str, is_bad: bool) -> String {
    let class = if is_bad { " class=\"bad\"" } else { "" };
    format!(
        "<li{class}><strong>{count}</strong> {}</li>\n",
        markup::html(what)
    )
}

/// A bar of parts: class of the part, its name and its share of `total`.
pub fn bar(parts: &[(&str, usize)], total: usize) -> String {
    let told: Vec<String> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let mut text = format!(
        "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        markup::html(&told.join(", "))
    );
    let mut left = 0;
    for (class, count) in parts {
        // One of many is still to be seen.
        let width = (count * 1_000 / total.max(1)).max(usize::from(*count > 0));
        if width > 0 {
            text.push_str(&format!(
                "<rect class=\"{class}\" x=\"{left}\" width=\"{width}\" height=\"10\"/>"
            ));
        }
        left += width;
    }
    text + "</svg>"
}

/// A line over values, the newest last. `what` is a text.
pub fn sparkline(what: &str, values: &[usize]) -> String {
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    let last = values.len().saturating_sub(1).max(1);
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, value)| format!("{},{}", index * 200 / last, 38 - value * 36 / most))
        .collect();
    let told: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!(
        "<svg class=\"line\" viewBox=\"0 0 200 40\" role=\"img\" aria-label=\"{}: {}\"><polyline points=\"{}\"/></svg>",
        markup::html(what),
        told.join(", "),
        points.join(" ")
    )
}

/// A table: a caption, its head, and rows that are markup already.
pub fn table(caption: &str, head: &[&str], rows: &str) -> String {
    let cells: String = head
        .iter()
        .map(|cell| format!("<th scope=\"col\">{}</th>", markup::html(cell)))
        .collect();
    format!(
        "<table>\n<caption>{}</caption>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
        markup::html(caption)
    )
}

/// A row of texts, each escaped.
pub fn row(cells: &[&str]) -> String {
    let cells: String = cells
        .iter()
        .map(|cell| format!("<td>{}</td>", markup::html(cell)))
        .collect();
    format!("<tr>{cells}</tr>\n")
}
