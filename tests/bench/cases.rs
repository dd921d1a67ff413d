//! The figures that are measured, and their targets.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use functions::hashes::{FileHash, FileProfile};
use handler::services::{CachedAnswer, VerdictCache};
use sandbox::{FileRecord, Sandbox, Tenant};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::{
    Row, load,
    process::{self, Failure},
};

const MALWARE: &str = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";
const CLIENTS: usize = 32;
const ROUNDS: usize = 5;

/// Rounds of a figure that a busy machine disturbs.
///
/// They are many and short, so that a pause of the machine spoils few of them.
const SHORT_ROUNDS: usize = 25;
const VERDICTS: usize = 100_000;

/// The paths of the executables that are measured.
pub(crate) struct Bench {
    pub(crate) release: PathBuf,
    /// The executable of the package.
    pub(crate) product: PathBuf,
}

/// Limits that nothing here reaches.
const NO_LIMITS: [(&str, &str); 2] = [
    ("DEFENDER_CALLS_PER_MINUTE", "10000"),
    ("DEFENDER_CALLS_PER_HOUR", "100000"),
];

impl Bench {
    async fn product(
        &self,
        cloud: &Sandbox,
        settings: &[(&str, &str)],
    ) -> Result<(Child, u16), Failure> {
        let port = process::free_port()?;
        let child = process::pinned(&self.product)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(cloud.variables())
            .env("API_AUTH", "off")
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .envs(settings.iter().copied())
            .spawn()?;
        Ok((child, port))
    }

    fn bare(&self, file: &Path) -> Result<(Child, u16), Failure> {
        let port = process::free_port()?;
        let child = process::pinned(&self.release.join("bare"))
            .arg(port.to_string())
            .arg(file)
            .spawn()?;
        Ok((child, port))
    }

    /// The release executable and the package.
    pub(crate) fn size(&self) -> Result<Vec<Row>, Failure> {
        let mib = |bytes: u64| bytes as f64 / 1e6;
        let executable = fs::metadata(&self.product)?.len();
        let zip = fs::metadata(self.release.join("../package.zip"))?.len();
        Ok(vec![
            Row {
                what: "release executable",
                seen: format!("{:.1} MB", mib(executable)),
                target: "at most 16 MB",
                met: Some(executable <= 16_000_000),
            },
            Row {
                what: "package",
                seen: format!("{:.1} MB", mib(zip)),
                target: "at most 7 MB",
                met: Some(zip <= 7_000_000),
            },
        ])
    }

    /// From exec to the first 200 of `GET /`, alternating with the bare server.
    pub(crate) async fn start(&self) -> Result<Vec<Row>, Failure> {
        let cloud = Sandbox::start(Tenant::default()).await?;
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), "{}")?;
        let (mut ours, mut bare, mut resident) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..30 {
            let (child, port) = self.bare(file.path())?;
            bare.push(load::until_answered(port).await?);
            process::end(child).await?;
            let (child, port) = self.product(&cloud, &[]).await?;
            ours.push(load::until_answered(port).await?);
            tokio::time::sleep(Duration::from_millis(50)).await;
            resident.push(process::resident_kib(child.id().unwrap_or_default()));
            process::end(child).await?;
        }
        resident.sort_unstable();
        let mb = |index: usize| resident[index] as f64 * 1.024 / 1e3;
        let (least, usual, most) = (mb(0), mb(resident.len() / 2), mb(resident.len() - 1));
        let ratio = median(&mut ours).as_secs_f64() / median(&mut bare).as_secs_f64();
        let ms = |times: &[Duration]| {
            format!(
                "{:.1} ms ({:.1} to {:.1})",
                millis(times[times.len() / 2]),
                millis(times[0]),
                millis(times[times.len() - 1])
            )
        };
        Ok(vec![
            Row {
                what: "start to first 200, against bare axum",
                seen: format!("{ratio:.2} times: {} against {}", ms(&ours), ms(&bare)),
                target: "at most 2 times",
                met: Some(ratio <= 2.0),
            },
            Row {
                what: "memory when idle, after the start",
                seen: format!("{usual:.1} MB ({least:.1} to {most:.1})"),
                target: "at most 12 MB",
                met: Some(usual <= 12.0),
            },
        ])
    }

    /// A remembered verdict through the complete HTTP stack.
    ///
    /// It alternates with the bare server, which answers the same bytes.
    pub(crate) async fn cached(&self) -> Result<Vec<Row>, Failure> {
        process::make_room();
        let cloud = Sandbox::start(Tenant::default()).await?;
        let (ours, port) = self.product(&cloud, &NO_LIMITS).await?;
        load::until_answered(port).await?;
        let path = format!("/api/hashes/{MALWARE}");
        load::throughput(port, &path, 1, Duration::from_millis(200)).await?;
        let answer = load::post(port, "/api/hashes", &json!([MALWARE]).to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), answer["results"][0].to_string())?;
        let (bare, bare_port) = self.bare(file.path())?;
        load::until_answered(bare_port).await?;
        let ports = (port, bare_port);
        let (speed, rate) = throughput(ports, &path).await?;
        let tail = tail(ports, &path, rate / 4.0).await?;
        process::end(ours).await?;
        process::end(bare).await?;
        Ok(vec![speed, tail])
    }

    /// A list of 50 files that are not remembered.
    pub(crate) async fn list(&self) -> Result<Vec<Row>, Failure> {
        let latency = Duration::from_millis(50);
        let cloud = Sandbox::start(Tenant::default()).await?;
        cloud.set_limits(usize::MAX, usize::MAX);
        cloud.set_latency(latency);
        let (ours, port) = self.product(&cloud, &NO_LIMITS).await?;
        load::until_answered(port).await?;
        let mut times = Vec::new();
        for round in 0..=ROUNDS {
            let began = Instant::now();
            look_up(port, round * 50, 50).await?;
            // The first one also gets the token.
            if round > 0 {
                times.push(began.elapsed());
            }
        }
        process::end(ours).await?;
        let ratio = median(&mut times).as_secs_f64() / latency.as_secs_f64();
        Ok(vec![Row {
            what: "50 hashes at 50 ms latency of Defender",
            seen: format!(
                "{ratio:.2} latencies ({:.0} to {:.0} ms)",
                millis(times[0]),
                millis(times[ROUNDS - 1])
            ),
            target: "at most 4 latencies",
            met: Some(ratio <= 4.0),
        }])
    }

    /// 1,000 distinct files by both hashes, with a limit that takes two windows.
    pub(crate) async fn limited(&self) -> Result<Vec<Row>, Failure> {
        let cloud = Sandbox::start(files(500)).await?;
        cloud.set_limits(500, 100_000);
        let settings = [
            ("DEFENDER_CALLS_PER_MINUTE", "500"),
            ("DEFENDER_CALLS_PER_HOUR", "100000"),
            ("LOOKUP_DEADLINE_SECONDS", "200"),
        ];
        let (ours, port) = self.product(&cloud, &settings).await?;
        load::until_answered(port).await?;
        let began = Instant::now();
        look_up(port, 0, 1_000).await?;
        let ratio = began.elapsed().as_secs_f64() / 61.0;
        let distinct = cloud.defender_calls();
        let throttled = distinct.iter().filter(|call| call.status == 429).count();
        let before = distinct.len();
        let both: Vec<String> = (0..500)
            .flat_map(|number| [sha1(number), sha256(number)])
            .collect();
        tokio::time::sleep(Duration::from_secs(61)).await;
        let answer = load::post(port, "/api/hashes", &json!(both).to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let of_files = cloud.defender_calls().len() - before;
        process::end(ours).await?;
        Ok(vec![
            Row {
                what: "1,000 distinct hashes at 500 calls a minute",
                seen: format!(
                    "{ratio:.2} times the one window of 61 s to wait for, {before} calls, {throttled} of them refused"
                ),
                target: "at most 1.05 times, 1,000 calls, none refused",
                met: Some(ratio <= 1.05 && before == 1_000 && throttled == 0),
            },
            Row {
                what: "500 files, asked for by both of their hashes",
                seen: format!("{of_files} calls, complete {}", answer["complete"]),
                target: "500 calls",
                met: Some(of_files == 500 && answer["complete"] == true),
            },
        ])
    }

    /// The memory that remembered verdicts cost, in a separate process.
    pub(crate) fn memory(&self) -> Result<Vec<Row>, Failure> {
        let output = std::process::Command::new(std::env::current_exe()?)
            .arg("cache")
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let (Some(kib), Some(kept)) = (numbers.next(), numbers.next()) else {
            return Err("the cache was not filled".into());
        };
        let (kib, kept) = (kib?, kept?);
        Ok(vec![Row {
            what: "100,000 remembered verdicts",
            seen: format!("{:.0} MB, {kept} of them kept", kib as f64 * 1.024 / 1e3),
            target: "less than 100 MB, all kept",
            met: Some(kib * 1_024 < 100_000_000 && kept == VERDICTS as u64),
        }])
    }
}

/// Requests per second of the product and the bare server, alternating.
///
/// Returns the row and the product's rate.
async fn throughput((ours, bare): (u16, u16), path: &str) -> Result<(Row, f64), Failure> {
    let mut pairs = Vec::new();
    for _ in 0..SHORT_ROUNDS {
        let time = Duration::from_millis(600);
        let echo = load::throughput(bare, path, CLIENTS, time).await?;
        let verdicts = load::throughput(ours, path, CLIENTS, time).await?;
        pairs.push((verdicts / echo, verdicts, echo));
    }
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, verdicts, echo) = pairs[SHORT_ROUNDS / 2];
    let percent = |pair: &(f64, f64, f64)| pair.0 * 100.0;
    let row = Row {
        what: "remembered verdict, throughput against bare axum",
        seen: format!(
            "{:.0} % ({:.0} to {:.0}): {verdicts:.0} against {echo:.0} a second",
            ratio * 100.0,
            percent(&pairs[SHORT_ROUNDS / 10]),
            percent(&pairs[SHORT_ROUNDS - 1 - SHORT_ROUNDS / 10])
        ),
        target: "at least 85 %",
        met: Some(ratio >= 0.85),
    };
    Ok((row, verdicts))
}

/// The slowest hundredth at a rate, for both, alternating.
async fn tail((ours, bare): (u16, u16), path: &str, rate: f64) -> Result<Row, Failure> {
    let (mut verdicts, mut echoes) = (Vec::new(), Vec::new());
    for _ in 0..SHORT_ROUNDS {
        let time = Duration::from_millis(600);
        let echo = load::latencies(bare, path, CLIENTS, rate, time).await?;
        echoes.push(percentile(&echo, 0.99));
        let verdict = load::latencies(ours, path, CLIENTS, rate, time).await?;
        verdicts.push(percentile(&verdict, 0.99));
    }
    let (verdict, echo) = (median(&mut verdicts), median(&mut echoes));
    let ratio = verdict.as_secs_f64() / echo.as_secs_f64();
    let most = |times: &[Duration]| {
        let (low, high) = (SHORT_ROUNDS / 10, SHORT_ROUNDS - 1 - SHORT_ROUNDS / 10);
        format!(
            "{:.2} ms ({:.2} to {:.2})",
            millis(times[SHORT_ROUNDS / 2]),
            millis(times[low]),
            millis(times[high])
        )
    };
    Ok(Row {
        what: "remembered verdict, p99 against bare axum, at a quarter of that rate",
        seen: format!(
            "{ratio:.2} times: {} against {}",
            most(&verdicts),
            most(&echoes)
        ),
        target: "at most 1.5 times",
        met: Some(ratio <= 1.5),
    })
}

/// Fills a cache and prints the memory it took and the number of its entries.
pub(crate) fn fill_cache() -> ExitCode {
    let before = process::resident_kib(std::process::id());
    let cache = VerdictCache::default();
    for number in 0..VERDICTS {
        let (sha1_text, sha256_text) = (sha1(number), sha256(number));
        let (Ok(by_sha1), Ok(by_sha256)) = (sha1_text.parse::<FileHash>(), sha256_text.parse())
        else {
            return ExitCode::FAILURE;
        };
        let record = FileRecord::new(&sha256_text, "Malware", Some("Trojan:Win32/Wacatac.B!ml"))
            .sha1(&sha1_text)
            .signed("Contoso Software Corporation", 12);
        let Ok(profile) = FileProfile::read(record.to_json().to_string().as_bytes(), by_sha256)
        else {
            return ExitCode::FAILURE;
        };
        cache.put(
            &[by_sha256, by_sha1],
            &CachedAnswer::new(Some(profile), "2026-11-23T10:00:00Z".to_owned()),
        );
    }
    let kept = (0..VERDICTS)
        .filter_map(|number| sha256(number).parse().ok())
        .filter(|hash| cache.get(*hash).is_some())
        .count();
    let after = process::resident_kib(std::process::id());
    process::say(&format!("{} {kept}", after.saturating_sub(before)));
    ExitCode::SUCCESS
}

/// Looks up unknown files in one list; every one must be answered.
async fn look_up(port: u16, first: usize, count: usize) -> Result<(), Failure> {
    let hashes: Vec<String> = (first..first + count)
        .map(|number| format!("{:064x}", number + (1 << 40)))
        .collect();
    let answer = load::post(port, "/api/hashes", &json!(hashes).to_string()).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    if answer["summary"]["unknown"] == count {
        Ok(())
    } else {
        Err(format!("not all were answered: {}", answer["summary"]).into())
    }
}

fn files(count: usize) -> Tenant {
    let file = |number| FileRecord::new(&sha256(number), "Clean", None).sha1(&sha1(number));
    Tenant {
        files: (0..count).map(file).collect(),
        ..Tenant::default()
    }
}

fn sha1(number: usize) -> String {
    format!("{number:040x}")
}

fn sha256(number: usize) -> String {
    format!("{number:064x}")
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted[index.min(sorted.len() - 1)]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
