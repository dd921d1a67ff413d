//! The option `--server`: the deployed service answers commands that read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use functions::hashes::{FileHash, HashResult, ItemError, ItemStatus};
use futures::stream::{self, Stream, StreamExt};
use tokio::time::sleep;

use super::{Exit, block_on, refuse, say, unless_interrupted};
use crate::{
    clients::deployed_service::ServiceClient,
    config::{self, Config, Purpose},
    outbound::{Code, Failure, HttpClient, Identity, TimeLimits},
    telemetry::LogAudience,
};

/// Hashes per call: few enough that most calls answer all of them.
const BATCH: usize = 100;

/// Calls in a row that answer nothing, after which the rest is given up.
const MAX_IDLE: usize = 20;

/// Longest wait that the service can ask for, the longest window of the quota. A longer
/// one ends the look-up with its time.
const LONGEST_WAIT: Duration = Duration::from_secs(3_700);

#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Ask the deployed service at this URL, with your own token; needs `API_AUDIENCE` [default: `DEFENDER_FUNCTIONS_URL`]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl ServerArgs {
    /// The service to ask; `None` when none is named.
    ///
    /// # Errors
    /// The exit code; the problem is already printed.
    pub(super) fn client(
        &self,
        variables: &BTreeMap<String, String>,
    ) -> Result<Option<ServiceClient>, Exit> {
        let refused = |problems| refuse(LogAudience::Person, &problems);
        let server = config::server(variables, self.server.as_deref()).map_err(refused)?;
        let Some(server) = server else {
            return Ok(None);
        };
        let config = Config::read(variables, Purpose::Command).map_err(refused)?;
        let http = Arc::new(HttpClient::new(TimeLimits::default()));
        Ok(Some(ServiceClient::new(
            server,
            Identity::new(config.identity, http),
        )))
    }
}

/// Prints why the service gave no answer.
pub(super) fn failed(error: &Failure) -> Exit {
    say(&format!(
        "error: {}",
        functions::report::text::visible(&error.detail)
    ));
    Exit::Incomplete
}

/// Asks the service for something; Ctrl-C only interrupts reading.
pub(super) fn ask(work: impl Future<Output = Exit>) -> Exit {
    block_on(unless_interrupted("interrupted", work))
}

/// The hashes that are still to be checked.
struct Rest {
    hashes: VecDeque<FileHash>,
    idle: usize,
    /// The time that the service asks to wait.
    wait: Option<Duration>,
}

/// Results for hashes as they come in.
///
/// A hash that the service postponed is sent again after the time that it names.
pub(super) fn look_up_each<'a>(
    service: &'a ServiceClient,
    hashes: Vec<FileHash>,
    include: &'a str,
) -> impl Stream<Item = (FileHash, HashResult)> + 'a {
    let rest = Rest {
        hashes: hashes.into(),
        idle: 0,
        wait: None,
    };
    stream::unfold(rest, move |mut rest| async move {
        let batch: Vec<FileHash> = rest.hashes.iter().take(BATCH).copied().collect();
        if batch.is_empty() {
            return None;
        }
        if let Some(wait) = rest.wait.take() {
            announce_wait(wait, rest.hashes.len());
            sleep(wait).await;
        }
        rest.hashes.drain(..batch.len());
        let answered = match service.look_up(&batch, include).await {
            Ok(answer) => {
                let wait = answer.retry_after_seconds().unwrap_or(1).max(1);
                let wait = Duration::from_secs(wait);
                let is_put_off = |result: &HashResult| result.status == ItemStatus::Throttled;
                let is_idle = answer.results.iter().all(is_put_off);
                rest.idle = if is_idle { rest.idle + 1 } else { 0 };
                let is_given_up = rest.idle > MAX_IDLE || wait > LONGEST_WAIT;
                let mut answered = Vec::new();
                for (hash, result) in batch.iter().zip(answer.results) {
                    match result.status {
                        ItemStatus::Throttled if !is_given_up => rest.hashes.push_back(*hash),
                        _ => answered.push((*hash, result)),
                    }
                }
                if answered.len() < batch.len() {
                    rest.wait = Some(wait);
                } else if is_given_up {
                    let others = rest.hashes.drain(..);
                    answered.extend(others.map(|hash| (hash, put_off(hash, wait))));
                }
                answered
            }
            // Every other batch would fail in the same way.
            Err(error) => {
                let all = batch.into_iter().chain(rest.hashes.drain(..));
                all.map(|hash| (hash, unanswered(hash, &error))).collect()
            }
        };
        Some((stream::iter(answered), rest))
    })
    .flatten()
}

/// Prints why the command waits.
fn announce_wait(wait: Duration, hashes: usize) {
    if wait >= Duration::from_secs(5) {
        let seconds = wait.as_secs();
        let noun = if hashes == 1 { "hash" } else { "hashes" };
        say(&format!(
            "the service asks to wait {seconds} s before the other {hashes} {noun}; Ctrl-C ends with the results so far"
        ));
    }
}

/// The result for a hash that the service keeps putting off.
fn put_off(hash: FileHash, wait: Duration) -> HashResult {
    let error = ItemError {
        code: Code::UpstreamThrottled.as_str().to_owned(),
        detail: "the service keeps putting hashes off; try again later".to_owned(),
        retry_after_seconds: Some(wait.as_secs()),
        cause: String::new(),
    };
    HashResult::unanswered(&hash.to_string(), hash.kind(), ItemStatus::Throttled, error)
}

fn unanswered(hash: FileHash, error: &Failure) -> HashResult {
    let error = ItemError {
        code: error.code.as_str().to_owned(),
        detail: error.detail.clone(),
        retry_after_seconds: None,
        cause: String::new(),
    };
    HashResult::unanswered(&hash.to_string(), hash.kind(), ItemStatus::Failed, error)
}
