//! The AI column of saved Coverage workbooks.

use sandbox::{Sandbox, Workbook};
use serde_json::{Value, json};

use crate::{
    kql,
    support::{
        App,
        app::{self, cloud},
        package::repository,
        tools::outside,
    },
};

fn fixture() -> String {
    std::fs::read_to_string(repository().join("tests/data/workbooks/coverage.workbook.json"))
        .unwrap()
}

/// Copies in a tenant, with their own history.
struct Shell {
    cloud: Sandbox,
    folder: tempfile::TempDir,
}

impl Shell {
    async fn with(workbooks: Vec<Workbook>) -> Self {
        let cloud = cloud().await;
        cloud.set_workbooks(workbooks);
        Self {
            cloud,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs `coverage workbook`; returns exit code, JSON and standard error.
    async fn look(&self, repair: bool) -> (i32, Value, String) {
        let mut variables = self.cloud.variables();
        variables.push(("REPORTS_URL", self.folder.path().display().to_string()));
        variables.push(("WORKBOOK_REPAIR", repair.to_string()));
        let run = move || {
            app::run(
                &["coverage", "workbook", "--format", "json"],
                &variables,
                "",
            )
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (output.status.code().unwrap(), json, said)
    }

    /// The states of the copies after a look.
    async fn drift(&self, repair: bool) -> Value {
        let (_, json, _) = self.look(repair).await;
        json["copies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|copy| copy["drift"].clone())
            .collect()
    }

    fn patches(&self) -> usize {
        self.cloud
            .workbooks()
            .iter()
            .map(|workbook| workbook.revision as usize - 1)
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_reported_and_only_written_on_request() {
    let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &fixture())]).await;
    let (status, json, said) = shell.look(false).await;
    assert_eq!(
        (status, &json["copies"][0]["drift"]),
        (1, &json!(["Unpatched"]))
    );
    assert_eq!(json["copies"][0]["edits"].as_array().unwrap().len(), 9);
    assert!(said.contains("`WORKBOOK_REPAIR=true` writes"), "{said}");
    assert_eq!(shell.patches(), 0);

    let (status, json, said) = shell.look(true).await;
    assert_eq!(
        (status, &json["copies"][0]["repaired"]),
        (0, &json!(true)),
        "{said}"
    );
    assert_eq!(shell.patches(), 1);
    let written = shell.cloud.workbooks()[0].content.clone();
    assert_eq!(shell.drift(true).await, json!([["Patched"]]));
    assert_eq!(
        (shell.patches(), &shell.cloud.workbooks()[0].content),
        (1, &written),
        "the second pass writes nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_difference_is_reported() {
    let shell = Shell::with(vec![
        Workbook::new(1, 1, "Coverage", &fixture()),
        Workbook::new(2, 2, "Coverage", &fixture()),
        Workbook::new(2, 3, "Coverage (2)", &fixture()),
        Workbook::new(4, 4, "Coverage of costs", "{\"items\":[]}"),
    ])
    .await;
    shell.look(true).await;
    let mut workbooks = shell.cloud.workbooks();
    workbooks[0].content = workbooks[0].content.replace("# Coverage", "# Covered");
    workbooks[1].content = workbooks[1].content.replace(
        "    AIServices = countif(AIServices == \\\"Standard\\\"),\\n",
        "",
    );
    workbooks[0].revision += 1;
    shell.cloud.set_workbooks(workbooks[..2].to_vec());
    let drift = shell.drift(false).await;
    assert_eq!(
        drift,
        json!([["PatchedButEdited"], ["PartlyPatched"], ["Missing"]])
    );
    assert_eq!(
        shell.drift(false).await[0],
        json!(["Patched"]),
        "an edit is reported once, and kept"
    );
    shell.cloud.set_workbooks(vec![
        Workbook::new(2, 2, "Coverage", &fixture()),
        Workbook::new(2, 3, "Coverage (2)", &fixture()),
        Workbook::new(4, 4, "Coverage of costs", "{\"items\":[]}"),
    ]);
    let drift = shell.drift(false).await;
    assert_eq!(
        drift,
        json!([
            ["Missing"],
            ["Unpatched", "Duplicate"],
            ["Unpatched", "Duplicate"],
            ["NotCoverage"]
        ])
    );
    let later = shell.drift(false).await;
    assert_eq!(
        later.as_array().unwrap().len(),
        3,
        "a deleted copy is reported once: {later}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_removed_on_purpose_stays_removed() {
    let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &fixture())]).await;
    shell.look(true).await;
    let mut workbooks = shell.cloud.workbooks();
    let before = workbooks[0].content.clone();
    workbooks[0].content = before.replace(
        "{\"columnId\":\"AIServices\",\"label\":\"AI services\"}",
        "{\"columnId\":\"Other\",\"label\":\"Other\"}",
    );
    assert_ne!(workbooks[0].content, before);
    workbooks[0].revision += 1;
    let edited = workbooks[0].content.clone();
    shell.cloud.set_workbooks(workbooks);
    assert_eq!(shell.drift(true).await, json!([["PatchedButEdited"]]));
    assert_eq!(shell.drift(true).await, json!([["Patched"]]));
    assert_eq!(shell.cloud.workbooks()[0].content, edited);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_with_no_place_for_the_plan_needs_work() {
    let one_line = fixture().replace(",\\n    ", ", ");
    let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &one_line)]).await;
    let (status, json, _) = shell.look(true).await;
    let copy = &json["copies"][0];
    assert_eq!((status, &copy["drift"]), (1, &json!(["NotCoverage"])));
    let problem = copy["problem"].as_str().unwrap();
    assert!(problem.contains("by hand"), "{problem}");
    assert_eq!(shell.patches(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coverage_w4_a_copy_that_is_changed_meanwhile_is_left_unchanged() {
    let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &fixture())]).await;
    let edited = fixture().replace("# Coverage", "# Ours");
    shell.cloud.edit_after_next_read(&edited);
    let (status, json, _) = shell.look(true).await;
    assert_eq!((status, &json["copies"][0]["repaired"]), (1, &json!(false)));
    assert!(
        json["copies"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("it was changed at this moment")
    );
    assert_eq!(shell.cloud.workbooks()[0].content, edited);
    assert_eq!(shell.drift(true).await, json!([["Unpatched"]]));
    assert!(
        shell.cloud.workbooks()[0].content.contains("# Ours"),
        "the edit of a person stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_read_or_written_says_which_role() {
    let mut elsewhere = Workbook::new(2, 2, "Coverage", &fixture());
    elsewhere.storage = Some("https://contoso.blob.core.windows.net/workbooks".to_owned());
    let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &fixture()), elsewhere]).await;
    shell.cloud.set_can_write_workbooks(false);
    let (status, json, said) = shell.look(true).await;
    assert_eq!(status, 1);
    assert!(
        json["copies"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("Workbook Contributor"),
        "{json}"
    );
    assert!(said.contains("storage account of its own"), "{said}");
    shell.cloud.add_fault(sandbox::Fault {
        path: "ResourceGraph".into(),
        ..sandbox::Fault::status(403)
    });
    let (status, json, said) = shell.look(false).await;
    assert_eq!((status, &json["copies"]), (3, &json!([])), "{said}");
    assert!(said.contains("Reader"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_s09_no_answer_of_another_shape_ends_a_command_without_a_word() {
    for body in [
        "[]",
        "\"x\"",
        "7",
        "null",
        "{}",
        r#"{"properties":[]}"#,
        r#"{"value":"x"}"#,
    ] {
        let shell = Shell::with(vec![Workbook::new(1, 1, "Coverage", &fixture())]).await;
        shell
            .cloud
            .add_fault(sandbox::Fault::json(body).on("/workbooks/"));
        let (status, json, said) = shell.look(true).await;
        assert!([1, 3].contains(&status), "{body}: {said}");
        let problem = json["copies"][0]["problem"].as_str().unwrap_or_default();
        assert!(
            !problem.is_empty() || said.contains("NOT complete"),
            "{body}: {json} {said}"
        );
        assert!(!said.contains("panicked"), "{body}: {said}");
        assert_eq!(shell.patches(), 0, "{body}");
    }
}

#[tokio::test]
async fn the_timer_reports_to_the_host() {
    let app = App::start().await;
    app.cloud
        .set_workbooks(vec![Workbook::new(1, 1, "Coverage", &fixture())]);
    let timer = json!({ "Data": { "timer": { "IsPastDue": false } }, "Metadata": {} });
    let done = app.host.invoke("coverage_workbook", &timer).await.unwrap();
    assert!(done.logs[0].ends_with("Unpatched"), "{:?}", done.logs);
    let line = app
        .host
        .console_line(|line| line.text.contains("workbook_drift"))
        .await;
    assert_eq!(line.level, "Warning");
}

/// The queries in items of the type of Resource Graph.
fn queries(items: &Value) -> Vec<String> {
    let items = items.as_array().cloned().unwrap_or_default();
    let of_item = |item: &Value| {
        let content = &item["content"];
        if content["queryType"] == 1 && content["query"].is_string() {
            return vec![content["query"].as_str().unwrap().to_owned()];
        }
        queries(&content["items"])
    };
    items.iter().flat_map(of_item).collect()
}

#[test]
fn the_patched_queries_bind() {
    let patched = functions::coverage::workbook::patch(&fixture());
    let workbook: Value = serde_json::from_str(&patched.content).unwrap();
    let asked: Vec<String> = queries(&workbook["items"])
        .into_iter()
        .filter(|query| query.contains("defenderPlans.AI,"))
        .collect();
    assert_eq!(asked.len(), 2);
    for query in asked {
        assert_eq!(kql::check(&query), "", "{query}");
    }
}

/// Microsoft's own workbook, where available: it is not a file of the project.
#[test]
fn coverage_w1_microsofts_workbook_gets_nine_edits() {
    let path = "shared/data/microsoft-coverage.workbook.json";
    let Some(file) = outside(path, "repair of Microsoft's own Coverage workbook") else {
        return;
    };
    let content = std::fs::read_to_string(file).unwrap();
    use functions::coverage::workbook::{PatchState, patch};
    let first = patch(&content);
    assert_eq!(
        (first.coverage, first.edits.len()),
        (PatchState::Unpatched, 9),
        "{:#?}",
        first.edits
    );
    let second = patch(&first.content);
    assert_eq!(
        (second.coverage, second.edits.len(), &second.content),
        (PatchState::Patched, 0, &first.content)
    );
    let workbook: Value = serde_json::from_str(&first.content).unwrap();
    let asked: Vec<String> = queries(&workbook["items"])
        .into_iter()
        .filter(|query| query.contains("defenderPlans.AI,"))
        .collect();
    assert_eq!(asked.len(), 2);
    for query in asked {
        assert_eq!(kql::check(&query), "", "{query}");
    }
}

/// The product's own workbook.
#[test]
fn the_queries_of_our_workbook_bind() {
    let text = std::fs::read_to_string(repository().join("infra/coverage.workbook.json")).unwrap();
    let workbook: Value = serde_json::from_str(&text).unwrap();
    let asked = queries(&workbook["items"]);
    assert!(asked.len() >= 6, "{}", asked.len());
    for query in &asked {
        // The portal fills in the parameters.
        assert_eq!(kql::check(query), "", "{query}");
    }
    let mut names = Vec::new();
    collect(&workbook["items"], &mut names);
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    for url in text.split("https://").skip(1) {
        let host = url.split(['/', '"']).next().unwrap();
        assert!(
            ["portal.azure.com", "github.com", "learn.microsoft.com"].contains(&host),
            "{host}"
        );
    }
}

fn collect(items: &Value, names: &mut Vec<String>) {
    for item in items.as_array().into_iter().flatten() {
        names.push(item["name"].as_str().expect("a name").to_owned());
        collect(&item["content"]["items"], names);
    }
}
