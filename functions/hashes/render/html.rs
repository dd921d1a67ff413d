//! The comment as HTML.

use askama::Template;

use super::comment::{self, COLUMNS, Style};
use crate::{hashes::LookupAnswer, report::html::render};

#[derive(Template)]
#[template(source = "<p>{{ text }}</p>", ext = "html")]
struct Paragraph<'a> {
    text: &'a str,
}

#[derive(Template)]
#[template(
    source = "<table><tr>{% for column in COLUMNS %}<th>{{ column }}</th>{% endfor %}</tr>",
    ext = "html"
)]
struct Head;

#[derive(Template)]
#[template(
    source = "<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>",
    ext = "html"
)]
struct Row<'a> {
    cells: &'a [String; 4],
}

const HTML: Style = Style {
    paragraph: |text| render(&Paragraph { text }),
    head: || render(&Head),
    row: |cells| render(&Row { cells }),
    foot: "</table>",
};

impl LookupAnswer {
    /// The answer as the HTML of an incident's comment, at most 30,000 characters.
    pub fn to_html(&self) -> String {
        comment::render(self, &HTML)
    }
}
