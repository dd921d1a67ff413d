//! Patches of Microsoft's workbook and of changed copies.

use serde_json::{Value, json};

use super::*;

const FIXTURE: &str = include_str!("../../../tests/data/workbooks/coverage.workbook.json");

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
fn coverage_w2_a_name_that_is_taken_is_reported() {
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
    let complete = patch(FIXTURE).content;
    let before = complete.replace(
        r#"[\\\"AIServices\\\"]/[\\\"totalSubs\\\"]*100"#,
        r#"round([\\\"AIServices\\\"] * 100 / [\\\"totalSubs\\\"])"#,
    );
    assert_ne!(before, complete);
    assert_eq!(patch(&before).edits, [""; 0]);
    let taken = complete.replace(r#"[\\\"AIServices\\\"]/"#, r#"[\\\"KeyVaults\\\"]/"#);
    assert_ne!(taken, complete);
    assert_eq!(patch(&taken).edits, [""; 0], "no name twice");
}

#[test]
fn what_is_only_how_a_column_looks_is_told_apart() {
    assert!(!patch(FIXTURE).is_look_only);
    let complete = patch(FIXTURE).content;
    let without = complete.replace(
        "{\"columnId\":\"AIServices\",\"label\":\"AI services\"}",
        "{\"columnId\":\"Other\"}",
    );
    assert_ne!(without, complete);
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
