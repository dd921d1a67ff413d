//! The comment as Markdown.

use super::comment::{self, COLUMNS, Style};
use crate::{hashes::LookupAnswer, report::markup::markdown};

const MARKDOWN: Style = Style {
    paragraph: |text| format!("{}\n\n", markdown(text)),
    head: || format!("| {} |\n|---|---|---|---|\n", COLUMNS.join(" | ")),
    row: |cells| {
        format!(
            "| {} |\n",
            cells.each_ref().map(|cell| markdown(cell)).join(" | ")
        )
    },
    foot: "\n",
};

impl LookupAnswer {
    /// The answer as Markdown, at most 30,000 characters.
    pub fn to_markdown(&self) -> String {
        comment::render(self, &MARKDOWN)
    }
}
