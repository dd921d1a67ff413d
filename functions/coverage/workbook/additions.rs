//! Adds what is missing to the items of a workbook.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;
use serde_json::{Value, json};

use super::query::{
    COUNT_LINES, COUNTS, PLAN_LINES, PlanColumn, counted, plan_column, shows_plans,
    without_comments,
};
use super::{COLUMN, text};

/// Its label.
const LABEL: &str = "AI services";

/// Deepest nesting of groups.
pub(super) const MAX_DEPTH: usize = 20;

#[derive(Default)]
pub(super) struct Work {
    /// Items that show plans.
    pub(super) found: usize,
    /// Parts of Defender for AI that exist already.
    pub(super) there: usize,
    pub(super) edits: Vec<String>,
    /// True if a query got a line or a column.
    pub(super) asks_more: bool,
    /// The reason why an item that shows plans cannot get a line; empty for none.
    pub(super) problem: String,
    /// Names of the items that count plans, with the column of Defender for AI.
    pub(super) numbers: BTreeMap<String, String>,
}

/// Changes the content of an item, which old copies have as a JSON text.
pub(super) fn with_content(item: &mut Value, work: impl FnOnce(&mut Value)) {
    match item.get_mut("content") {
        Some(Value::String(text)) => {
            let Ok(mut content) = serde_json::from_str::<Value>(text) else {
                return;
            };
            let before = content.clone();
            work(&mut content);
            if content != before {
                *text = content.to_string();
            }
        }
        Some(content @ Value::Object(_)) => work(content),
        _ => {}
    }
}

impl Work {
    pub(super) fn numbers_and_grids(&mut self, items: Option<&mut Value>, depth: usize) {
        for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
            let (kind, name) = (item["type"].as_i64(), text(&item["name"]));
            with_content(item, |content| match kind {
                Some(12) if depth < MAX_DEPTH => {
                    self.numbers_and_grids(content.get_mut("items"), depth + 1);
                }
                Some(3) if shows_plans(content) => self.item(&name, content),
                _ => {}
            });
        }
    }

    /// An item that shows the plans of each subscription, or counts them.
    pub(super) fn item(&mut self, name: &str, content: &mut Value) {
        self.found += 1;
        let mut query = text(&content["query"]);
        let column = match plan_column(&query) {
            PlanColumn::Known(column) => {
                self.there += 1;
                column
            }
            PlanColumn::OfItsOwn => {
                self.there += 1;
                return;
            }
            PlanColumn::NameIsTaken => {
                self.problem = format!(
                    "{name}: the column `{COLUMN}` is something else: add Defender for AI by hand, under another name"
                );
                return;
            }
            PlanColumn::None => {
                let line = format!("{COLUMN} = defenderPlans.AI,");
                if !self.add_line(name, &mut query, &PLAN_LINES, &line) {
                    return;
                }
                self.edits
                    .push(format!("{name}: the query reads Defender for AI"));
                COLUMN.to_owned()
            }
        };
        if COUNTS.is_match(&without_comments(&query)) {
            self.count(name, &mut query, &column);
        } else {
            self.grid(name, content, &column);
        }
        if content["query"] != query.as_str() {
            content["query"] = json!(query);
        }
    }

    /// Counts the subscriptions with the plan.
    pub(super) fn count(&mut self, name: &str, query: &mut String, column: &str) {
        let sum = match counted(&without_comments(query), column) {
            Some(sum) => {
                self.there += 1;
                sum
            }
            None => {
                let line = format!("{column} = countif({column} == \"Standard\"),");
                if !self.add_line(name, query, &COUNT_LINES, &line) {
                    return;
                }
                self.edits
                    .push(format!("{name}: the query counts Defender for AI"));
                column.to_owned()
            }
        };
        self.numbers.insert(name.to_owned(), sum);
    }

    /// Colors and names the column of a grid.
    pub(super) fn grid(&mut self, name: &str, content: &mut Value, column: &str) {
        let settings = &mut content["gridSettings"];
        let of = |list| Entry {
            list,
            column,
            model: "AppServices",
        };
        self.entry(name, settings, &of("formatters"), |model| {
            let mut formatter = model.unwrap_or_else(|| json!({ "formatter": 1 }));
            formatter["columnMatch"] = json!(column);
            formatter
        });
        self.entry(name, settings, &of("labelSettings"), |_| label(column));
    }

    /// Adds an entry for a column to a list, after the one of the column that it is modeled
    /// on.
    pub(super) fn entry(
        &mut self,
        name: &str,
        settings: &mut Value,
        entry: &Entry<'_>,
        make: impl FnOnce(Option<Value>) -> Value,
    ) {
        let key = match entry.list {
            "formatters" => "columnMatch",
            _ => "columnId",
        };
        if settings.is_null() {
            *settings = json!({});
        }
        let list = settings
            .as_object_mut()
            .map(|settings| settings.entry(entry.list).or_insert_with(|| json!([])));
        let Some(entries) = list.and_then(Value::as_array_mut) else {
            return;
        };
        if entries.iter().any(|one| one[key] == entry.column) {
            self.there += 1;
            return;
        }
        let at = entries.iter().position(|one| one[key] == entry.model);
        let new = make(at.and_then(|at| entries.get(at).cloned()));
        entries.insert(at.map_or(entries.len(), |at| at + 1), new);
        self.edits
            .push(format!("{name}: {} has Defender for AI", entry.list));
    }

    /// Puts a line after the first anchor that exists, with its indent and its line end.
    pub(super) fn add_line(
        &mut self,
        name: &str,
        query: &mut String,
        anchors: &[&LazyLock<Regex>],
        line: &str,
    ) -> bool {
        let code = without_comments(query);
        let Some(found) = anchors.iter().find_map(|anchor| anchor.captures(&code)) else {
            self.problem = format!(
                "{name}: the query has no line of a plan after which Defender for AI could go: add `{line}` by hand"
            );
            return false;
        };
        let line = format!("{}{line}{}", &found["indent"], &found["end"]);
        query.insert_str(found.get(0).map_or(0, |all| all.end()), &line);
        self.asks_more = true;
        true
    }
}

/// An entry of a list that a grid is set with.
pub(super) struct Entry<'a> {
    pub(super) list: &'static str,
    pub(super) column: &'a str,
    /// The column after whose entry it goes.
    pub(super) model: &'static str,
}

pub(super) fn label(column: &str) -> Value {
    json!({ "columnId": column, "label": LABEL })
}
