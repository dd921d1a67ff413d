//! The result of the checklist on one machine.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    checklist::{CHECKLIST, Item},
    evidence::Evidence,
    expectation::{Expectation, Role},
    item::{CheckState, Outcome},
    machine::Image,
};
use crate::desktop::Severity;

/// The result of one item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemResult {
    /// The id, such as `GI-05`.
    #[schema(example = "GI-05")]
    pub id: &'static str,
    /// The outcome.
    pub state: CheckState,
    /// The severity of a failure.
    pub severity: Severity,
    /// The condition, in a few words.
    pub title: &'static str,
    /// The value in the evidence.
    pub seen: String,
    /// The reason for the item.
    pub why: &'static str,
    /// The fix; empty when there is nothing to do.
    pub remediation: String,
    /// The vendor page that recommends it.
    pub source: &'static str,
}

/// The number of items with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Items that pass.
    pub pass: usize,
    /// Items that fail.
    pub fail: usize,
    /// Items that pass in part.
    pub warn: usize,
    /// Items that do not apply to this machine.
    pub not_applicable: usize,
    /// Items that the evidence does not cover.
    pub not_assessable: usize,
}

/// The results of the checklist on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    /// Version of this shape: 1.
    pub schema_version: u8,
    /// The time of the evidence, RFC 3339; empty if the evidence has none.
    pub as_of: String,
    /// The name of the machine; empty if the evidence has none.
    pub host: String,
    /// The role that the machine was assessed as.
    pub role: Role,
    /// True if the image may be sealed, false if a Critical or High item fails.
    ///
    /// Null if none fails but one cannot be assessed, and for pooled machines.
    pub safe_to_seal: Option<bool>,
    /// The weighted share of passed items among the assessed ones, 0 to 100.
    pub score: f64,
    /// The weighted share of the items that could be assessed, 0 to 100.
    pub confidence: f64,
    /// The number of items with each outcome.
    pub summary: Totals,
    /// Every item, failures first, then by severity.
    pub items: Vec<ItemResult>,
}

/// Checks a machine against every checklist item that applies to its role.
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
    let needs_fix = matches!(state, CheckState::Fail | CheckState::Warn);
    let remediation = match state {
        CheckState::NotAssessable => String::from(
            "Run the collector as administrator or SYSTEM on the machine, then assess again.",
        ),
        _ if needs_fix => item
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

/// Returns true if no Critical or High item fails.
///
/// `None` if none fails but one of them cannot be assessed.
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
    /// Returns true if no Critical or High item fails, also for a pooled machine.
    ///
    /// `None` if none fails but one of them cannot be assessed.
    pub fn holds(&self) -> Option<bool> {
        holds(&self.items)
    }
}
