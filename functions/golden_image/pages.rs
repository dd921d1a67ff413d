//! An assessment for people: a sentence, a Markdown page and an HTML page.

use std::fmt::Write;

use askama::Template;

use super::{assessment::Assessment, expectation::Role, item::CheckState};
use crate::report::{html, markup, text::visible};

const COLUMNS: [&str; 6] = ["Item", "State", "Severity", "What", "Seen", "What to do"];

#[derive(Template)]
#[template(path = "golden_image/page.html")]
struct Page<'a> {
    title: String,
    assessment: &'a Assessment,
}

impl Assessment {
    /// The verdict in one sentence.
    pub fn verdict(&self) -> &'static str {
        match (self.role, self.holds()) {
            (Role::Golden, Some(true)) => "Safe to seal.",
            (Role::Golden, Some(false)) => "NOT safe to seal.",
            (Role::Golden, None) => {
                "NOT known whether it is safe to seal: the evidence lacks something that matters."
            }
            (Role::Pooled, Some(true)) => "No critical or high item fails.",
            (Role::Pooled, Some(false)) => "A critical or high item fails.",
            (Role::Pooled, None) => "NOT known: the evidence lacks something that matters.",
        }
    }

    /// The totals in one line.
    pub fn figures(&self) -> String {
        let s = &self.summary;
        format!(
            "{} pass, {} fail, {} warn, {} not assessable, {} not applicable; score {}, confidence {} %",
            s.pass, s.fail, s.warn, s.not_assessable, s.not_applicable, self.score, self.confidence
        )
    }

    /// A Markdown page.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# {}\n\n**{}** {}\n\n| item | state | severity | what | why | seen | what to do |\n|---|---|---|---|---|---|---|\n",
            markup::markdown(&self.title()),
            self.verdict(),
            self.figures()
        );
        for item in &self.items {
            let _ = writeln!(
                text,
                "| [{}]({}) | {} | {} | {} | {} | {} | {} |",
                item.id,
                item.source,
                item.state.as_str(),
                item.severity.as_str(),
                markup::markdown(item.title),
                markup::markdown(item.why),
                markup::markdown(&item.seen),
                markup::markdown(&item.remediation)
            );
        }
        text
    }

    /// An HTML page in the frame of the reports.
    pub fn html(&self) -> String {
        html::render(&Page {
            title: self.title(),
            assessment: self,
        })
    }

    fn title(&self) -> String {
        let what = match self.role {
            Role::Golden => "Golden image",
            Role::Pooled => "Pooled machine",
        };
        format!("{what} {}", visible(&self.host))
            .trim_end()
            .to_owned()
    }
}
