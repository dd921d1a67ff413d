//! A report on a large pool of virtual desktops, compared with fetching its data.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use functions::vdi::{DEVICES, NAMES};
use sandbox::{DEFENDER_AUDIENCE, GRAPH_AUDIENCE, Sandbox, Tenant, VdiDevice};
use serde_json::{Value, json};

use crate::{
    Row,
    cases::Bench,
    coverage::report,
    process::{self, Failure},
};

/// Device records, each with a row of antivirus health.
const DEVICES_OF_ALL: usize = 100_000;

/// Rounds, alternating.
const ROUNDS: usize = 3;

/// The report as the timer writes it, and the responses as they come.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>, Failure> {
    process::make_room();
    let cloud = Sandbox::start(Tenant::default()).await?;
    // Every third desktop has a second record that is silent.
    let devices = (0..DEVICES_OF_ALL).map(|number| {
        let host = number - number / 4 * (number % 4 / 3);
        VdiDevice::new(number, &format!("vdi-{host:06}.corp.contoso.com"))
            .seen(if number % 4 == 3 { 90 } else { 1 })
    });
    cloud.set_vdi(devices.collect());
    let (mut ratios, mut peak) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let bytes = fetch(&cloud).await?;
        let alone = began.elapsed();
        let folder = tempfile::tempdir()?;
        let (time, kib) = report(bench, &cloud, "vdi_report", folder.path()).await?;
        check_complete(folder.path())?;
        ratios.push((time.as_secs_f64() / alone.as_secs_f64(), time, alone, bytes));
        peak = peak.max(kib);
    }
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(rows(&ratios, peak))
}

fn rows(ratios: &[(f64, Duration, Duration, usize)], peak: u64) -> Vec<Row> {
    let (ratio, time, alone, bytes) = ratios[ROUNDS / 2];
    let peak = peak as f64 * 1.024 / 1e3;
    vec![
        Row {
            what: "report on 100,000 device records, against fetching what it reads",
            seen: format!(
                "{ratio:.2} times ({:.2} to {:.2}): {:.2} s against {:.2} s for {:.0} MB",
                ratios[0].0,
                ratios[ROUNDS - 1].0,
                time.as_secs_f64(),
                alone.as_secs_f64(),
                bytes as f64 / 1e6
            ),
            target: "less than 3 times",
            met: Some(ratio < 3.0),
        },
        Row {
            what: "peak memory of it",
            seen: format!("{peak:.0} MB"),
            target: "less than 400 MB",
            met: Some(peak < 400.0),
        },
    ]
}

/// Fetches everything as the product requests it, without reading it.
///
/// Returns the number of bytes received.
async fn fetch(cloud: &Sandbox) -> Result<usize, Failure> {
    let (hunted, machines, antivirus) = tokio::join!(
        hunting(cloud),
        pages(cloud, "machines"),
        pages(cloud, "deviceavinfo")
    );
    Ok(hunted? + machines? + antivirus?)
}

/// Fetches the rows of 100,000 devices: one query that is too large, then two parts.
async fn hunting(cloud: &Sandbox) -> Result<usize, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let base = cloud
        .variables()
        .into_iter()
        .find(|(name, _)| *name == "GRAPH_URL");
    let url = format!("{}/v1.0/security/runHuntingQuery", base.ok_or("no URL")?.1);
    let token = cloud.token(GRAPH_AUDIENCE);
    let part = |index: usize| format!("{}| where hash(DeviceId, 2) == {index}\n", DEVICES.text);
    let mut bytes = 0;
    for query in [
        DEVICES.text.to_owned(),
        part(1),
        part(0),
        NAMES.text.to_owned(),
    ] {
        let body = json!({ "Query": query, "Timespan": "P30D" }).to_string();
        let request = client
            .post(&url)
            .bearer_auth(&token)
            .header("content-type", "application/json")
            .body(body);
        bytes += request
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?
            .len();
    }
    Ok(bytes)
}

async fn pages(cloud: &Sandbox, list: &str) -> Result<usize, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let token = cloud.token(DEFENDER_AUDIENCE);
    let mut bytes = 0;
    // The last page is empty: without a link, a client cannot know that before.
    for page in 0..=DEVICES_OF_ALL / 10_000 {
        let skip = if page == 0 {
            String::new()
        } else {
            format!("&$skip={}", page * 10_000)
        };
        let url = format!("{}/api/{list}?$top=10000{skip}", cloud.defender_url());
        bytes += client
            .get(url)
            .bearer_auth(&token)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?
            .len();
    }
    Ok(bytes)
}

/// Checks that the report is complete.
fn check_complete(folder: &Path) -> Result<(), Failure> {
    let pointer: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("latest/vdi.json"))?)?;
    let run = folder.join(pointer["folder"].as_str().ok_or("no folder")?);
    let summary: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json"))?)?;
    if summary["devices"] != DEVICES_OF_ALL || summary["complete"] != true {
        return Err(format!("the report is not complete: {}", summary["reasons"]).into());
    }
    Ok(())
}
