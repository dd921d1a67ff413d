//! The queries of a workbook: how they show a plan, and where a line for another goes.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::{COLUMN, text};

/// The way in which a query shows Defender for AI.
pub(super) enum PlanColumn {
    None,
    /// As the plain level, in a column of this name.
    Known(String),
    /// In a form of its own, to which nothing can be added safely.
    OfItsOwn,
    /// Not at all, and the name of its column is something else.
    NameIsTaken,
}

pub(super) fn plan_column(query: &str) -> PlanColumn {
    let code = without_comments(query);
    let mut mentions = PLAN.find_iter(&code);
    let (first, second) = (mentions.next(), mentions.next());
    if first.is_none() {
        return match words(&code).any(|word| word == COLUMN) {
            false => PlanColumn::None,
            true => PlanColumn::NameIsTaken,
        };
    }
    let Some(found) = PLAN_COLUMN.captures(&code).filter(|_| second.is_none()) else {
        return PlanColumn::OfItsOwn;
    };
    let column = found["name"].to_owned();
    let is_summed = counted(&code, &column).is_some_and(|sum| sum == column);
    if assigned(&code, &column) == 1 + usize::from(is_summed) {
        PlanColumn::Known(column)
    } else {
        PlanColumn::OfItsOwn
    }
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The number of times that a name gets a value.
fn assigned(code: &str, name: &str) -> usize {
    ASSIGNED
        .captures_iter(code)
        .filter(|found| &found["name"] == name)
        .count()
}

/// The column that counts a column, whatever it is compared with.
pub(super) fn counted(code: &str, column: &str) -> Option<String> {
    let counts = |found: &Captures<'_>| words(&found["what"]).any(|word| word == column);
    let found = COUNT_COLUMN.captures_iter(code).find(counts)?;
    Some(found["name"].to_owned())
}

/// A query with a space for each byte of a comment, so that places stay.
pub(super) fn without_comments(query: &str) -> String {
    TEXT_OR_COMMENT
        .replace_all(query, |found: &Captures<'_>| {
            if found[0].starts_with("//") {
                " ".repeat(found[0].len())
            } else {
                found[0].to_owned()
            }
        })
        .into_owned()
}

/// Returns true if an item asks Resource Graph for a bag of plans by subscription.
pub(super) fn shows_plans(content: &Value) -> bool {
    let query = text(&content["query"]);
    let lower = query.to_ascii_lowercase();
    content["queryType"] == 1
        && lower.contains("microsoft.security/pricings")
        && lower.contains("make_bag")
        && query.contains("defenderPlans.")
        && !lower.contains("properties.extensions")
}

/// A pattern of this file; a wrong one is found by every test of it.
#[expect(clippy::expect_used, reason = "a literal that the tests compile")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

macro_rules! patterns {
    ($($name:ident = $text:expr;)+) => {
        $(pub(super) static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)+
    };
}

patterns! {
    TEXT_OR_COMMENT = r#"(?s)```.*?```|@"[^"\r\n]*"|@'[^'\r\n]*'|"(?:\\[^\r\n]|[^"\\\r\n])*"|'(?:\\[^\r\n]|[^'\\\r\n])*'|//[^\r\n]*"#;
    PLAN = r#"\bdefenderPlans\s*(?:\.\s*AI\b|\.?\s*\[\s*["']AI["']\s*\])"#;
    PLAN_COLUMN = r#"\b(?P<name>\w+)\s*=\s*(?:tostring\s*\(\s*)?defenderPlans\s*(?:\.\s*AI\b|\.?\s*\[\s*["']AI["']\s*\])\s*\)?\s*(?:,|\||\z)"#;
    ASSIGNED = r"\b(?P<name>\w+)\s*=(?:[^=~]|\z)";
    APP_SERVICES_LINE = r"(?m)^(?P<indent>[^\S\r\n]*)\w+\s*=\s*defenderPlans\.AppServices\s*,[^\S\r\n]*(?P<end>\r?\n)";
    ANY_PLAN_LINE = r"(?m)^(?P<indent>[^\S\r\n]*)\w+\s*=\s*defenderPlans\.\w+\s*,[^\S\r\n]*(?P<end>\r?\n)";
    COUNTS = r"\bcountif\s*\(";
    COUNT_COLUMN = r"\b(?P<name>\w+)\s*=\s*countif\s*\((?P<what>[^,|]*)";
    APP_SERVICES_COUNT = r"(?m)^(?P<indent>[^\S\r\n]*)AppSrv\s*=\s*countif\s*\([^\r\n]*\)\s*,[^\S\r\n]*(?P<end>\r?\n)";
    ANY_COUNT = r"(?m)^(?P<indent>[^\S\r\n]*)\w+\s*=\s*countif\s*\([^\r\n]*\)\s*,[^\S\r\n]*(?P<end>\r?\n)";
}

/// Lines after which the column of the plan goes, best first.
pub(super) static PLAN_LINES: [&LazyLock<Regex>; 2] = [&APP_SERVICES_LINE, &ANY_PLAN_LINE];

/// Lines after which its count goes, best first.
pub(super) static COUNT_LINES: [&LazyLock<Regex>; 2] = [&APP_SERVICES_COUNT, &ANY_COUNT];
