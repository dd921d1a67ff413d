//! The items that show shares of what other items count.

use serde_json::{Value, json};

use super::additions::{Entry, MAX_DEPTH, Work, label, with_content};
use super::text;

impl Work {
    /// The items that show shares of what the others count.
    pub(super) fn shares(&mut self, items: Option<&mut Value>, depth: usize) {
        for item in items.and_then(Value::as_array_mut).into_iter().flatten() {
            let (kind, name) = (item["type"].as_i64(), text(&item["name"]));
            with_content(item, |content| match kind {
                Some(12) if depth < MAX_DEPTH => self.shares(content.get_mut("items"), depth + 1),
                Some(3) if content["queryType"] == 7 => self.share(&name, content),
                _ => {}
            });
        }
    }

    pub(super) fn share(&mut self, name: &str, content: &mut Value) {
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
                .push(format!("{name}: the columns have Defender for AI"));
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

/// Adds the share of what `sum` counts to the columns of a merge, and returns the name of
/// its column. `None` if the columns are ambiguous: then the merge stays as it is.
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

fn insert_behind(columns: &mut Vec<Value>, name: &str, new: Value) {
    let at = columns
        .iter()
        .position(|column| column["mergedName"] == name);
    columns.insert(at.map_or(columns.len(), |at| at + 1), new);
}
