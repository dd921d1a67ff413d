//! The AI column of Microsoft's Coverage workbook, in saved copies of it.
//!
//! The gallery's workbook dates from before the plan for AI, and a saved copy is
//! never refreshed. A copy is patched as parsed JSON, with the order of its keys
//! kept, and items are found by what they ask, not by name. Queries hold
//! no-break spaces and either line end, so anchors take any white space.
//! Source: <https://github.com/microsoft/Application-Insights-Workbooks>,
//! `Workbooks/Azure Security Center/Coverage`

use std::{collections::BTreeMap, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::{Value, json};

/// Column of the AI plan, unless a copy has one of another name.
const COLUMN: &str = "AIServices";

/// Its label.
const LABEL: &str = "AI services";

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 20;

/// What is known of a copy from its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchState {
    /// It shows no plans of Defender for Cloud as the Coverage workbook does, or
    /// so changed that nothing can be added safely.
    NotCoverage,
    /// Nothing of the AI plan is in it.
    Unpatched,
    /// Something is, something is missing.
    PartlyPatched,
    /// Everything is there.
    Patched,
}

/// A copy with the AI plan in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// What it was before.
    pub coverage: PatchState,
    /// What was added, a sentence each; empty for nothing.
    pub edits: Vec<String>,
    /// Whether all that was added is how a column looks, not what is asked.
    pub is_look_only: bool,
    /// Why nothing could be added to a copy that shows plans, and what to do;
    /// empty for nothing.
    pub problem: String,
    /// The content; the same bytes when nothing was added.
    pub content: String,
}

impl Patch {
    fn nothing(coverage: PatchState, content: &str) -> Self {
        Self {
            coverage,
            edits: Vec::new(),
            is_look_only: false,
            problem: String::new(),
            content: content.to_owned(),
        }
    }

    /// A copy that needs nothing.
    pub fn whole(content: &str) -> Self {
        Self::nothing(PatchState::Patched, content)
    }
}

/// Adds what is missing of the AI plan to a workbook.
pub fn patch(content: &str) -> Patch {
    let unchanged = |coverage| Patch::nothing(coverage, content);
    let Ok(mut workbook) = serde_json::from_str::<Value>(content.trim_start_matches('\u{feff}'))
    else {
        return unchanged(PatchState::NotCoverage);
    };
    let mut work = Work::default();
    work.numbers_and_grids(workbook.get_mut("items"), 0);
    work.shares(workbook.get_mut("items"), 0);
    let coverage = match (work.found, work.edits.len(), work.there) {
        (0, _, _) => PatchState::NotCoverage,
        _ if !work.problem.is_empty() => PatchState::NotCoverage,
        (_, 0, _) => PatchState::Patched,
        (_, _, 0) => PatchState::Unpatched,
        _ => PatchState::PartlyPatched,
    };
    if work.edits.is_empty() || !work.problem.is_empty() {
        return Patch {
            problem: work.problem,
            ..unchanged(coverage)
        };
    }
    Patch {
        coverage,
        edits: work.edits,
        is_look_only: !work.asks_more,
        problem: String::new(),
        content: workbook.to_string(),
    }
}

/// A workbook without what changes by itself, with its keys sorted: two copies
/// with the same text here show the same.
pub fn canonical(content: &str) -> Option<String> {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<&String, Value> = fields
                    .iter()
                    .map(|(name, field)| (name, sorted(field)))
                    .collect();
                json!(fields)
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    let mut workbook: Value = serde_json::from_str(content).ok()?;
    for volatile in [
        "$schema",
        "fallbackResourceIds",
        "fromTemplateId",
        "isLocked",
    ] {
        workbook.as_object_mut()?.remove(volatile);
    }
    Some(sorted(&workbook).to_string())
}

#[derive(Default)]
struct Work {
    /// Items that show plans.
    found: usize,
    /// Places where the AI plan is already.
    there: usize,
    edits: Vec<String>,
    /// Whether a query got a line or a column.
    asks_more: bool,
    /// Why an item that shows plans cannot get a line; empty for nothing.
    problem: String,
    /// Names of the items that count plans, with the column of the AI plan.
    numbers: BTreeMap<String, String>,
}

/// Does work on the content of an item, which old copies hold as a JSON text.
fn with_content(item: &mut Value, work: impl FnOnce(&mut Value)) {
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
    fn numbers_and_grids(&mut self, items: Option<&mut Value>, depth: usize) {
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
    fn item(&mut self, name: &str, content: &mut Value) {
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
                    "{name}: the column `{COLUMN}` is something else: add the plan for AI by hand, under another name"
                );
                return;
            }
            PlanColumn::None => {
                let line = format!("{COLUMN} = defenderPlans.AI,");
                if !self.add_line(name, &mut query, &PLAN_LINES, &line) {
                    return;
                }
                self.edits
                    .push(format!("{name}: the query reads the AI plan"));
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
    fn count(&mut self, name: &str, query: &mut String, column: &str) {
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
                    .push(format!("{name}: the query counts the AI plan"));
                column.to_owned()
            }
        };
        self.numbers.insert(name.to_owned(), sum);
    }

    /// Colours and names the column of a grid.
    fn grid(&mut self, name: &str, content: &mut Value, column: &str) {
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

    /// Adds an entry for a column to a list, behind the one of the column that
    /// it is made after.
    fn entry(
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
            .push(format!("{name}: {} has the AI plan", entry.list));
    }

    /// Puts a line behind the first anchor that is there, with its indent and
    /// its line end.
    fn add_line(
        &mut self,
        name: &str,
        query: &mut String,
        anchors: &[&LazyLock<Regex>],
        line: &str,
    ) -> bool {
        let code = without_comments(query);
        let Some(found) = anchors.iter().find_map(|anchor| anchor.captures(&code)) else {
            self.problem = format!(
                "{name}: the query has no line of a plan behind which the plan for AI could go: add `{line}` by hand"
            );
            return false;
        };
        let line = format!("{}{line}{}", &found["indent"], &found["end"]);
        query.insert_str(found.get(0).map_or(0, |all| all.end()), &line);
        self.asks_more = true;
        true
    }

    /// The items that show shares of what the others count.
    fn shares(&mut self, items: Option<&mut Value>, depth: usize) {
        for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
            let (kind, name) = (item["type"].as_i64(), text(&item["name"]));
            with_content(item, |content| match kind {
                Some(12) if depth < MAX_DEPTH => self.shares(content.get_mut("items"), depth + 1),
                Some(3) if content["queryType"] == 7 => self.share(&name, content),
                _ => {}
            });
        }
    }

    fn share(&mut self, name: &str, content: &mut Value) {
        let Ok(mut merge) = serde_json::from_str::<Value>(&text(&content["query"])) else {
            return;
        };
        let table = text(&merge["merges"][0]["leftTable"]);
        let Some(sum) = self.numbers.get(&table).cloned() else {
            return;
        };
        let before = merge.clone();
        let Some(share) = add_share(&mut merge, &table, &sum) else {
            return;
        };
        if merge == before {
            self.there += 1;
        } else {
            self.edits
                .push(format!("{name}: the columns have the AI plan"));
            self.asks_more = true;
            content["query"] = json!(merge.to_string());
        }
        let settings = &mut content["gridSettings"];
        let of = |list, column, model| Entry {
            list,
            column,
            model,
        };
        self.entry(
            name,
            settings,
            &of("formatters", &sum, "AppSrv"),
            |_| json!({ "columnMatch": sum, "formatter": 5 }),
        );
        self.entry(name, settings, &of("formatters", &share, "AppSrv1"), |model| {
            let mut bar = model.unwrap_or_else(|| {
                json!({ "columnMatch": "", "formatter": 8, "formatOptions": { "min": 0, "max": 100, "palette": "lightBlue" } })
            });
            bar["columnMatch"] = json!(share);
            bar
        });
        self.entry(
            name,
            settings,
            &of("labelSettings", &share, "AppSrv1"),
            |_| label(&share),
        );
    }
}

/// An entry of a list that a grid is set with.
struct Entry<'a> {
    list: &'static str,
    column: &'a str,
    /// Column behind whose entry it goes.
    model: &'static str,
}

fn label(column: &str) -> Value {
    json!({ "columnId": column, "label": LABEL })
}

/// Adds the share of what `sum` counts to the columns of a merge; the name of
/// its column. `None` when the columns cannot be told apart: the merge is left
/// as it is then.
fn add_share(merge: &mut Value, table: &str, sum: &str) -> Option<String> {
    let id = merge["merges"][0]["id"].clone();
    let columns = merge.get_mut("projectRename")?.as_array_mut()?;
    let share = format!("{sum}1");
    let has = |name: &str| columns.iter().any(|column| column["mergedName"] == name);
    let of_sum = format!("[{table}].{sum}");
    let has_sum = columns
        .iter()
        .any(|column| column["originalName"] == of_sum);
    let of_share = |column: &&Value| {
        let value = &column["newItemData"][0]["criteriaContext"]["resultVal"];
        text(value).contains(&format!("[\"{sum}\"]"))
    };
    let shown = columns
        .iter()
        .find(of_share)
        .map(|column| text(&column["mergedName"]));
    if (!has_sum && has(sum)) || (shown.is_none() && has(&share)) {
        return None;
    }
    if !has_sum {
        let new = json!({ "originalName": of_sum, "mergedName": sum, "fromId": id });
        insert_behind(columns, "AppSrv", new);
    }
    if shown.is_some() {
        return shown;
    }
    let context = json!({
        "operator": "Default", "rightValType": "column", "resultValType": "expression",
        "resultVal": format!("[\"{sum}\"]/[\"totalSubs\"]*100"),
    });
    let new = json!({
        "originalName": "[Added column]", "mergedName": share, "fromId": null, "isNewItem": true,
        "newItemData": [{ "criteriaContext": context }],
    });
    insert_behind(columns, "AppSrv1", new);
    Some(share)
}

/// How a query shows the plan for AI.
enum PlanColumn {
    None,
    /// As the plain level, in a column of this name.
    Known(String),
    /// As somebody wrote it: nothing can be added that is sure to be right.
    OfItsOwn,
    /// Not at all, and the name of its column is something else.
    NameIsTaken,
}

fn plan_column(query: &str) -> PlanColumn {
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

/// How often a name gets a value.
fn assigned(code: &str, name: &str) -> usize {
    ASSIGNED
        .captures_iter(code)
        .filter(|found| &found["name"] == name)
        .count()
}

/// The column that counts a column, whatever it compares it with.
fn counted(code: &str, column: &str) -> Option<String> {
    let counts = |found: &Captures<'_>| words(&found["what"]).any(|word| word == column);
    let found = COUNT_COLUMN.captures_iter(code).find(counts)?;
    Some(found["name"].to_owned())
}

/// A query with a space for each byte of a comment, so that places stay.
fn without_comments(query: &str) -> String {
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn insert_behind(columns: &mut Vec<Value>, name: &str, new: Value) {
    let at = columns
        .iter()
        .position(|column| column["mergedName"] == name);
    columns.insert(at.map_or(columns.len(), |at| at + 1), new);
}

/// Whether an item asks Resource Graph for a bag of plans by subscription.
fn shows_plans(content: &Value) -> bool {
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
        $(static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)+
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

/// Lines behind which the column of the plan goes, best first.
static PLAN_LINES: [&LazyLock<Regex>; 2] = [&APP_SERVICES_LINE, &ANY_PLAN_LINE];

/// Lines behind which its count goes, best first.
static COUNT_LINES: [&LazyLock<Regex>; 2] = [&APP_SERVICES_COUNT, &ANY_COUNT];

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("../../tests/data/workbooks/coverage.workbook.json");

    fn item<'a>(items: &'a Value, name: &str) -> Option<&'a Value> {
        items.as_array()?.iter().find_map(|one| {
            let here = (one["name"] == name).then_some(one);
            here.or_else(|| item(&one["content"]["items"], name))
        })
    }

    fn content(workbook: &str, name: &str) -> Value {
        let workbook: Value = serde_json::from_str(workbook).unwrap();
        item(&workbook["items"], name).unwrap()["content"].clone()
    }

    /// Changes a place of the fixture by its text.
    fn changed(from: &str, to: &str) -> String {
        assert!(FIXTURE.contains(from), "{from}");
        FIXTURE.replace(from, to)
    }

    #[test]
    fn coverage_w1_a_copy_gets_nine_edits_and_then_none() {
        let first = patch(FIXTURE);
        assert_eq!(
            (first.coverage, first.edits.len()),
            (PatchState::Unpatched, 9),
            "{:#?}",
            first.edits
        );
        let second = patch(&first.content);
        assert_eq!(
            (second.coverage, &second.edits[..]),
            (PatchState::Patched, &[][..])
        );
        assert_eq!(second.content, first.content);
        let query = text(&content(&first.content, "queryAzure")["query"]);
        assert!(query.contains("AppServices = defenderPlans.AppServices,\n    AIServices = defenderPlans.AI,\n    KeyVaults"), "{query}");
        assert!(query.contains("|\u{a0}project"), "the rest stays as it was");
        let count = text(&content(&first.content, "Azure numbers")["query"]);
        assert!(
            count.contains("    AIServices = countif(AIServices == \"Standard\"),\n"),
            "{count}"
        );
    }

    #[test]
    fn the_new_column_looks_as_the_one_beside_it() {
        let patched = patch(FIXTURE).content;
        let grid = content(&patched, "queryAzure");
        let formatters = grid["gridSettings"]["formatters"].as_array().unwrap();
        let names: Vec<String> = formatters
            .iter()
            .map(|one| text(&one["columnMatch"]))
            .collect();
        assert_eq!(
            names,
            [
                "subscriptionId",
                "CloudPosture",
                "AppServices",
                "AIServices",
                "KeyVaults"
            ]
        );
        assert_eq!(
            formatters[2]["formatOptions"],
            formatters[3]["formatOptions"]
        );
        let shares = content(&patched, "Azure percentage");
        let merge: Value = serde_json::from_str(&text(&shares["query"])).unwrap();
        let columns: Vec<String> = merge["projectRename"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text(&one["mergedName"]))
            .collect();
        assert_eq!(
            columns,
            [
                "totalSubs",
                "CSPM",
                "AppSrv",
                "AIServices",
                "KeyVaults",
                "CSPM1",
                "AppSrv1",
                "AIServices1",
                "Key Vaults"
            ]
        );
        let labels = shares["gridSettings"]["labelSettings"].to_string();
        assert!(
            labels.contains("{\"columnId\":\"AIServices1\",\"label\":\"AI services\"}"),
            "{labels}"
        );
    }

    #[test]
    fn nothing_else_changes_and_keys_keep_their_order() {
        let compact: Value = serde_json::from_str(FIXTURE).unwrap();
        let patched = patch(FIXTURE).content;
        let (before, after) = (compact.to_string(), patched);
        assert!(
            after.starts_with("{\"version\":\"Notebook/1.0\",\"items\":[{\"type\":1,"),
            "{after}"
        );
        for name in ["info", "queryAzureDetailedCSPM", "queryAWS"] {
            assert_eq!(content(&before, name), content(&after, name));
        }
    }

    #[test]
    fn coverage_w2_a_column_of_another_name_is_taken_as_it_is() {
        for column in [
            "MyAi = defenderPlans.AI",
            "MyAi = tostring(defenderPlans[\\\"AI\\\"])",
        ] {
            let by_hand = changed(
                "AppServices = defenderPlans.AppServices,",
                &format!("AppServices = defenderPlans.AppServices,\\n    {column},"),
            );
            let patched = patch(&by_hand);
            assert_eq!(patched.coverage, PatchState::PartlyPatched);
            let grid = content(&patched.content, "queryAzure");
            assert_eq!(grid["query"], content(&by_hand, "queryAzure")["query"]);
            assert!(
                grid["gridSettings"]
                    .to_string()
                    .contains("{\"columnId\":\"MyAi\",\"label\":\"AI services\"}")
            );
            assert!(
                text(&content(&patched.content, "Azure numbers")["query"])
                    .contains("MyAi = countif(MyAi == \"Standard\"),")
            );
            assert_eq!(patch(&patched.content).edits, [""; 0]);
        }
    }

    /// The fixture with other lines in the queries of the grid and the numbers.
    fn by_hand(line: &str, count: &str) -> String {
        let plan = "AppServices = defenderPlans.AppServices,\\n";
        let sum = "AppSrv = countif(AppServices == \\\"Standard\\\"),\\n";
        assert!(FIXTURE.contains(sum));
        FIXTURE
            .replace(plan, &format!("{plan}{line}"))
            .replace(sum, &format!("{sum}{count}"))
    }

    #[test]
    fn coverage_w2_what_somebody_wrote_in_a_way_of_their_own_is_left_alone() {
        for line in [
            "AIServices = coalesce(tostring(defenderPlans.AI), \\\"not registered\\\"),\\n",
            "AIServices = tolower(defenderPlans.AI),\\n",
            "AIServices = iff(isempty(defenderPlans[\\\"AI\\\"]), \\\"no\\\", \\\"yes\\\"),\\n",
        ] {
            let patched = patch(&by_hand(line, ""));
            assert_eq!(
                (
                    patched.coverage,
                    &patched.edits[..],
                    patched.problem.as_str()
                ),
                (PatchState::Patched, &[][..], ""),
                "{line}"
            );
        }
    }

    #[test]
    fn coverage_w2_a_name_that_is_taken_is_told() {
        let before = by_hand("AIServices = defenderPlans.Arm,\\n", "");
        let patched = patch(&before);
        assert_eq!(
            (patched.coverage, &patched.content),
            (PatchState::NotCoverage, &before)
        );
        assert!(
            patched.problem.contains("under another name"),
            "{}",
            patched.problem
        );
    }

    #[test]
    fn coverage_w2_a_name_in_brackets_is_a_name() {
        let before = by_hand("['AIServices'] = defenderPlans.Arm,\\n", "");
        assert_eq!(patch(&before).coverage, PatchState::NotCoverage);
        let shown = by_hand("['AIServices'] = defenderPlans.AI,\\n", "");
        assert_eq!(patch(&shown).content, shown);
    }

    #[test]
    fn coverage_w2_a_count_of_any_kind_is_a_count() {
        for count in [
            "AIServices = countif(AIServices =~ \\\"Standard\\\"),\\n",
            "Ai = countif(isnotempty(AIServices) and AIServices != \\\"Free\\\"),\\n",
        ] {
            let before = by_hand("AIServices = defenderPlans.AI,\\n", count);
            let after = patch(&before).content;
            let query = |workbook: &str| content(workbook, "Azure numbers")["query"].clone();
            assert_eq!(query(&after), query(&before), "{count}");
            assert_eq!(patch(&after).edits, [""; 0]);
        }
    }

    #[test]
    fn coverage_w2_a_line_in_a_comment_is_no_line() {
        let before = by_hand(
            "// AIServices = defenderPlans.AI, see https://contoso.com\\n    ",
            "",
        );
        let patched = patch(&before);
        assert_eq!(
            (patched.coverage, patched.edits.len()),
            (PatchState::Unpatched, 9)
        );
        let query = text(&content(&patched.content, "queryAzure")["query"]);
        assert!(
            query.contains("AppServices,\n    AIServices = defenderPlans.AI,\n// AIServices"),
            "{query}"
        );
    }

    #[test]
    fn coverage_w2_a_share_of_another_form_is_a_share() {
        let whole = patch(FIXTURE).content;
        let before = whole.replace(
            r#"[\\\"AIServices\\\"]/[\\\"totalSubs\\\"]*100"#,
            r#"round([\\\"AIServices\\\"] * 100 / [\\\"totalSubs\\\"])"#,
        );
        assert_ne!(before, whole);
        assert_eq!(patch(&before).edits, [""; 0]);
        let taken = whole.replace(r#"[\\\"AIServices\\\"]/"#, r#"[\\\"KeyVaults\\\"]/"#);
        assert_ne!(taken, whole);
        assert_eq!(patch(&taken).edits, [""; 0], "no name twice");
    }

    #[test]
    fn what_is_only_how_a_column_looks_is_told_apart() {
        assert!(!patch(FIXTURE).is_look_only);
        let whole = patch(FIXTURE).content;
        let without = whole.replace(
            "{\"columnId\":\"AIServices\",\"label\":\"AI services\"}",
            "{\"columnId\":\"Other\"}",
        );
        assert_ne!(without, whole);
        assert!(patch(&without).is_look_only);
    }

    #[test]
    fn coverage_w3_old_shapes_are_patched() {
        let mut workbook: Value = serde_json::from_str(FIXTURE).unwrap();
        let inner = workbook["items"][2]["content"].to_string();
        workbook["items"][2]["content"] = json!(inner);
        let patched = patch(&workbook.to_string());
        assert_eq!(patched.edits.len(), 9);
        let outer: Value = serde_json::from_str(&patched.content).unwrap();
        assert!(
            outer["items"][2]["content"]
                .as_str()
                .unwrap()
                .contains("defenderPlans.AI,")
        );
        assert_eq!(patch(&patched.content).edits, [""; 0]);

        let windows = patch(&FIXTURE.replace("\\n", "\\r\\n"));
        assert!(
            text(&content(&windows.content, "queryAzure")["query"])
                .contains("\r\n    AIServices = defenderPlans.AI,\r\n")
        );
        let without = patch(&changed(
            "    AppServices = defenderPlans.AppServices,\\n",
            "",
        ));
        assert!(
            text(&content(&without.content, "queryAzure")["query"])
                .contains("defenderPlans.CloudPosture,\n    AIServices = defenderPlans.AI,\n")
        );
    }

    #[test]
    fn coverage_w3_what_has_no_place_for_a_line_is_left_alone() {
        let one_line = FIXTURE.replace(",\\n    ", ", ");
        let patched = patch(&one_line);
        assert_eq!(
            (patched.coverage, &patched.content),
            (PatchState::NotCoverage, &one_line)
        );
        assert!(
            patched.problem.contains("add `AIServices = "),
            "{}",
            patched.problem
        );
        for other in [
            "",
            "[]",
            "7",
            "{\"items\":7}",
            "{\"items\":[{\"type\":3,\"content\":\"{\"}]}",
            "{\"items\":[]}",
        ] {
            let patched = patch(other);
            assert_eq!(
                (patched.coverage, patched.content.as_str()),
                (PatchState::NotCoverage, other)
            );
        }
    }

    #[test]
    fn what_changes_by_itself_is_no_edit_by_a_person() {
        let same = changed("\"isLocked\": false", "\"isLocked\": true");
        assert_eq!(canonical(FIXTURE), canonical(&same));
        let compact: Value = serde_json::from_str(FIXTURE).unwrap();
        assert_eq!(canonical(FIXTURE), canonical(&compact.to_string()));
        assert_ne!(
            canonical(FIXTURE),
            canonical(&changed("# Coverage", "# Covered"))
        );
        assert_eq!(canonical("7"), None);
    }
}
