//! The comment as plain text.

use super::comment::{self, Row, Style};
use crate::{hashes::LookupAnswer, report::text::visible};

const PLAIN: Style = Style {
    head,
    start: "",
    row,
    end: "",
    foot: |text| format!("{}\n", visible(text)),
};

fn head(lead: &str, facts: &[String]) -> String {
    let facts = facts.iter().map(|fact| visible(fact) + "\n");
    format!("{}\n{}\n", visible(lead), facts.collect::<String>())
}

fn row(row: &Row) -> String {
    let name = row.name.as_ref().map(|name| format!(" {}", visible(name)));
    let lines = row.lines().into_iter().chain(row.url.clone());
    let lines = lines.map(|line| format!("  {}\n", visible(&line)));
    format!(
        "{} {}{}\n{}\n",
        row.word,
        visible(&row.hash),
        name.unwrap_or_default(),
        lines.collect::<String>()
    )
}

impl LookupAnswer {
    /// The answer as plain text, at most 30,000 characters.
    pub fn to_text(&self) -> String {
        comment::render(self, &PLAIN)
    }
}
