//! The comment as HTML.

use askama::Template;

use super::comment::{self, Row, Style};
use crate::{hashes::LookupAnswer, report::html::render};

#[derive(Template)]
#[template(
    source = "<p><b>{{ lead }}</b>{% for fact in facts %}<br>{{ fact }}{% endfor %}</p>",
    ext = "html"
)]
struct Head<'a> {
    lead: &'a str,
    facts: &'a [String],
}

#[derive(Template)]
#[template(
    source = "<li><b>{{ row.word }}</b> \
        {% match row.url %}{% when Some(url) %}<a href=\"{{ url }}\">{{ row.short() }}</a>{% when None %}{{ row.hash }}{% endmatch %}\
        {% if let Some(name) = row.name %} {{ name }}{% endif %}\
        {% for detail in row.details %}<br>{{ detail }}{% endfor %}\
        {% if let Some(next) = row.next %}<br><i>Do next:</i> {{ next }}{% endif %}</li>",
    ext = "html"
)]
struct Item<'a> {
    row: &'a Row,
}

#[derive(Template)]
#[template(source = "<p>{{ text }}</p>", ext = "html")]
struct Foot<'a> {
    text: &'a str,
}

/// Long words break, because the pane of an incident is 480 pixels wide.
const HTML: Style = Style {
    head: |lead, facts| render(&Head { lead, facts }),
    start: "<ul style=\"overflow-wrap:anywhere\">",
    row: |row| render(&Item { row }),
    end: "</ul>",
    foot: |text| render(&Foot { text }),
};

impl LookupAnswer {
    /// The answer as the HTML of an incident's comment, at most 30,000 characters.
    pub fn to_html(&self) -> String {
        comment::render(self, &HTML)
    }
}
