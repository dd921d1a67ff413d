//! A coverage report of a large estate, against only fetching its pages.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use functions::{
    coverage::{AI_RESOURCES, PRICINGS, SUBSCRIPTIONS},
    query::Query,
};
use sandbox::{Estate, Sandbox, Tenant};
use serde_json::{Value, json};

use crate::{
    Row,
    cases::Bench,
    process::{self, Failure},
};

/// With 18 plans and three AI accounts each.
const SUBSCRIPTIONS_OF_ALL: usize = 10_000;

/// Rounds, alternating.
const ROUNDS: usize = 3;

/// The report as the timer writes it, and the pages as they come.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>, Failure> {
    process::make_room();
    let cloud = Sandbox::start(Tenant::default()).await?;
    cloud.set_estate(Estate::of_size(SUBSCRIPTIONS_OF_ALL));
    cloud.set_graph_quota(false);
    // The stand-in finds its rows on the first call and makes pages of them.
    fetch(&cloud).await?;
    let (mut ratios, mut peak, mut size) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let pages = fetch(&cloud).await?;
        let alone = began.elapsed();
        let folder = tempfile::tempdir()?;
        let (time, kib) = report(bench, &cloud, "coverage_report", folder.path()).await?;
        ratios.push((time.as_secs_f64() / alone.as_secs_f64(), time, alone, pages));
        peak = peak.max(kib);
        size = size.max(largest_page(folder.path())?);
    }
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, time, alone, pages) = ratios[ROUNDS / 2];
    let (peak, size) = (peak as f64 * 1.024 / 1e3, size as f64 / 1e6);
    Ok(vec![
        Row {
            what: "coverage report of 10,000 subscriptions, against only fetching its pages",
            seen: format!(
                "{ratio:.2} times ({:.2} to {:.2}): {:.2} s against {:.2} s for {pages} pages",
                ratios[0].0,
                ratios[ROUNDS - 1].0,
                time.as_secs_f64(),
                alone.as_secs_f64()
            ),
            target: "less than 5 times",
            met: Some(ratio < 5.0),
        },
        Row {
            what: "peak memory of it",
            seen: format!("{peak:.0} MB"),
            target: "less than 300 MB",
            met: Some(peak < 300.0),
        },
        Row {
            what: "its page",
            seen: format!("{size:.2} MB"),
            target: "less than 5 MB",
            met: Some(size < 5.0),
        },
    ])
}

/// Fetches every page as the product requests it, three queries at a time.
///
/// Each page is read only for the link to the next.
async fn fetch(cloud: &Sandbox) -> Result<usize, Failure> {
    let one = |query| pages(cloud, query);
    let (one, two, three) = tokio::join!(one(SUBSCRIPTIONS), one(PRICINGS), one(AI_RESOURCES));
    Ok(one? + two? + three?)
}

async fn pages(cloud: &Sandbox, query: Query) -> Result<usize, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let base = cloud
        .variables()
        .into_iter()
        .find(|(name, _)| *name == "ARM_URL");
    let url = format!(
        "{}/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01",
        base.ok_or("no URL")?.1
    );
    let token = cloud.token(sandbox::ARM_AUDIENCE);
    let (mut count, mut next) = (0, None::<String>);
    loop {
        let mut options = json!({ "$top": 1_000, "resultFormat": "objectArray" });
        if let Some(token) = &next {
            options["$skipToken"] = json!(token);
        }
        let body = json!({ "query": query.text, "options": options }).to_string();
        let request = client
            .post(&url)
            .bearer_auth(&token)
            .header("content-type", "application/json");
        let text = request
            .body(body)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        count += 1;
        // It is the last field.
        let tail = &text[text.len().saturating_sub(100)..];
        let token = tail.split("\"$skipToken\":\"").nth(1);
        match token.and_then(|rest| rest.split('"').next()) {
            Some(token) => next = Some(token.to_owned()),
            None => return Ok(count),
        }
    }
}

/// Time and peak memory in KiB of a timer function run by hand.
pub(crate) async fn report(
    bench: &Bench,
    cloud: &Sandbox,
    function: &str,
    folder: &Path,
) -> Result<(Duration, u64), Failure> {
    let began = Instant::now();
    let mut child = process::pinned(&bench.product)
        .args(["run", function])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(cloud.variables())
        .env("REPORTS_URL", folder)
        .env("VDI_HOST_PATTERN", "^vdi-")
        .spawn()?;
    let id = child.id().ok_or("no process")?;
    let mut peak = 0;
    loop {
        tokio::select! {
            status = child.wait() => {
                let time = began.elapsed();
                if !status?.success() {
                    return Err("the report was not written".into());
                }
                return Ok((time, peak));
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => peak = peak.max(process::peak_kib(id)),
        }
    }
}

/// Size of `coverage.html` in bytes; the report must be complete.
fn largest_page(folder: &Path) -> Result<u64, Failure> {
    let pointer = fs::read_to_string(folder.join("latest/coverage.json"))?;
    let manifest: Value = serde_json::from_str(&pointer)?;
    let run = folder.join(manifest["folder"].as_str().ok_or("no folder")?);
    let summary: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json"))?)?;
    if summary["subscriptions"] != SUBSCRIPTIONS_OF_ALL || summary["complete"] != true {
        return Err("the report is not complete".into());
    }
    Ok(fs::metadata(run.join("coverage.html"))?.len())
}
