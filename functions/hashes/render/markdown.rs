//! The comment as Markdown.

use super::comment::{self, Row, Style};
use crate::{hashes::LookupAnswer, report::markup::markdown};

const MARKDOWN: Style = Style {
    head,
    start: "",
    row,
    end: "\n",
    foot: |text| format!("{}\n\n", markdown(text)),
};

fn head(lead: &str, facts: &[String]) -> String {
    let facts = facts.iter().map(|fact| format!("{}\n\n", markdown(fact)));
    format!("**{}**\n\n{}", markdown(lead), facts.collect::<String>())
}

fn row(row: &Row) -> String {
    let hash = match &row.url {
        Some(url) => format!("[{}]({url})", markdown(&row.short())),
        None => markdown(&row.hash),
    };
    let name = row.name.as_ref().map(|name| format!(" {}", markdown(name)));
    // A backslash at the end of a line breaks it.
    let lines = row.lines().into_iter();
    let lines = lines.map(|line| format!("\\\n  {}", markdown(&line)));
    format!(
        "- **{}** {hash}{}{}\n",
        markdown(&row.word),
        name.unwrap_or_default(),
        lines.collect::<String>()
    )
}

impl LookupAnswer {
    /// The answer as Markdown, at most 30,000 characters.
    pub fn to_markdown(&self) -> String {
        comment::render(self, &MARKDOWN)
    }
}
