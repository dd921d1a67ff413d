//! The result of the checklist on one machine.

use std::fmt::Write;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    checklist::{CHECKLIST, Item},
    evidence::Evidence,
    expectation::{Expectation, Role},
    item::{CheckState, Outcome},
    machine::Image,
};
use crate::{
    desktop::Severity,
    report::{html as page, markup, text::visible},
};

/// An item of the checklist, answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemResult {
    /// Its id, such as `GI-05`.
    #[schema(example = "GI-05")]
    pub id: &'static str,
    /// How it came out.
    pub state: CheckState,
    /// How much it matters.
    pub severity: Severity,
    /// What is checked.
    pub title: &'static str,
    /// What the evidence says.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// What mends it; empty when nothing is to be done.
    pub remediation: String,
    /// Page that asks for it.
    pub source: &'static str,
}

/// How many items came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Items that hold.
    pub pass: usize,
    /// Items that do not hold.
    pub fail: usize,
    /// Items that hold in part.
    pub warn: usize,
    /// Items that are not about this machine.
    pub not_applicable: usize,
    /// Items that the evidence does not tell.
    pub not_assessable: usize,
}

/// A machine, held against the checklist.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    /// Version of this shape: 1.
    pub schema_version: u8,
    /// When the evidence was collected, RFC 3339; empty when it does not say.
    pub as_of: String,
    /// Name of the machine; empty when the evidence does not say.
    pub host: String,
    /// What it was assessed as.
    pub role: Role,
    /// Whether the image may be sealed: false when a Critical or High item fails,
    /// null when none fails but one cannot be assessed, and for pooled machines.
    pub safe_to_seal: Option<bool>,
    /// Weighted share of the items that hold, of those that could be assessed, 0 to 100.
    pub score: f64,
    /// Weighted share of the items that could be assessed, 0 to 100.
    pub confidence: f64,
    /// How many items came out how.
    pub summary: Totals,
    /// Every item, what fails first, the worst first among them.
    pub items: Vec<ItemResult>,
}

/// Holds a machine against every item of the checklist that is about its role.
pub fn assess(evidence: &Evidence, expected: &Expectation) -> Assessment {
    let role = expected
        .role
        .or_else(|| evidence.role())
        .unwrap_or(Role::Golden);
    let image = Image { evidence, expected };
    let about = CHECKLIST.iter().filter(|item| item.roles.contains(&role));
    let mut items: Vec<ItemResult> = about.map(|item| answer(item, &image)).collect();
    items.sort_by_key(|item| (item.state, item.severity));
    Assessment {
        schema_version: 1,
        as_of: evidence.collected_at(),
        host: evidence.host(),
        role,
        safe_to_seal: if role == Role::Golden {
            holds(&items)
        } else {
            None
        },
        score: share(&items, |item| match item.state {
            CheckState::Pass => Some(1.0),
            CheckState::Warn => Some(0.5),
            CheckState::Fail => Some(0.0),
            CheckState::NotApplicable | CheckState::NotAssessable => None,
        }),
        confidence: share(&items, |item| match item.state {
            CheckState::NotApplicable => None,
            CheckState::NotAssessable => Some(0.0),
            _ => Some(1.0),
        }),
        summary: sums(&items),
        items,
    }
}

fn answer(item: &Item, image: &Image<'_>) -> ItemResult {
    let (Ok(outcome) | Err(outcome)) = (item.check)(image);
    let Outcome { state, seen } = outcome;
    let mends = matches!(state, CheckState::Fail | CheckState::Warn);
    let remediation = match state {
        CheckState::NotAssessable => String::from(
            "Run the collector as administrator or SYSTEM on the machine, and assess again.",
        ),
        _ if mends => item
            .remediation
            .replace("{tag}", &image.expected.tag.to_string()),
        _ => String::new(),
    };
    ItemResult {
        id: item.id,
        state,
        severity: item.severity,
        title: item.title,
        seen,
        why: item.why,
        remediation,
        source: item.source,
    }
}

/// False when what matters fails, `None` when that cannot be known.
fn holds(items: &[ItemResult]) -> Option<bool> {
    let grave = |state| {
        let of_state = items.iter().filter(move |item| item.state == state);
        of_state
            .filter(|item| item.severity <= Severity::High)
            .count()
            > 0
    };
    if grave(CheckState::Fail) {
        return Some(false);
    }
    (!grave(CheckState::NotAssessable)).then_some(true)
}

fn share(items: &[ItemResult], worth: impl Fn(&ItemResult) -> Option<f64>) -> f64 {
    let (mut got, mut all) = (0.0, 0.0);
    for item in items {
        if let Some(worth) = worth(item) {
            got += worth * item.severity.weight();
            all += item.severity.weight();
        }
    }
    if all == 0.0 {
        0.0
    } else {
        (got / all * 1_000.0).round() / 10.0
    }
}

fn sums(items: &[ItemResult]) -> Totals {
    let count = |state| items.iter().filter(|item| item.state == state).count();
    Totals {
        pass: count(CheckState::Pass),
        fail: count(CheckState::Fail),
        warn: count(CheckState::Warn),
        not_applicable: count(CheckState::NotApplicable),
        not_assessable: count(CheckState::NotAssessable),
    }
}

impl Assessment {
    /// Whether what matters holds, also for a pooled machine: `None` when it cannot
    /// be known.
    pub fn holds(&self) -> Option<bool> {
        holds(&self.items)
    }

    /// The one sentence that a person reads first.
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

    /// The figures in one line.
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

    /// A page of its own in the frame of the reports.
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for item in &self.items {
            let class = match item.state {
                CheckState::Fail => "bad",
                _ => "",
            };
            let _ = writeln!(
                rows,
                "<tr class=\"{class}\"><td><a href=\"{}\">{}</a></td><td>{}</td><td>{}</td><td>{}<br><small>{}</small></td><td>{}</td><td><code>{}</code></td></tr>",
                markup::html(item.source),
                item.id,
                item.state.as_str(),
                item.severity.as_str(),
                markup::html(item.title),
                markup::html(item.why),
                markup::html(&item.seen),
                markup::html(&item.remediation)
            );
        }
        let head = ["Item", "State", "Severity", "What", "Seen", "What to do"];
        let body = format!(
            "<p><strong>{}</strong> {}</p>\n<p>{}</p>\n{}",
            self.verdict(),
            self.figures(),
            markup::html(&format!(
                "Evidence of {}",
                if self.as_of.is_empty() {
                    "an unknown time"
                } else {
                    &self.as_of
                }
            )),
            page::table("Checklist", &head, &rows)
        );
        page::page(&self.title(), &body)
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
