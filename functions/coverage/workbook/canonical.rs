//! The comparable form of a workbook.

use std::collections::BTreeMap;

use serde_json::{Value, json};

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
