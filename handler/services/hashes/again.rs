//! The hashes of a list, and those that are asked for once more.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use functions::hashes::{FileHash, HashResult, Inputs};
use futures::stream::StreamExt;
use tokio::time::{Instant, sleep};

use super::HashLookup;

/// The time after which a file of an alert that Defender does not know is asked for again:
/// the record of a new file comes seconds after the alert.
const AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Most files of one alert that are asked for again.
const MAX_AGAIN: usize = 10;

/// Each hash of the inputs once, in their order.
pub fn distinct_hashes(inputs: &Inputs) -> Vec<FileHash> {
    let mut seen = HashSet::new();
    let hashes = inputs.observables.iter();
    hashes
        .filter_map(|input| input.hash.as_ref().ok().copied())
        .filter(|hash| seen.insert(*hash))
        .collect()
}

impl HashLookup {
    /// Forgets that Defender did not know these files.
    pub(super) fn forget_not_seen(&self, hashes: &[FileHash]) {
        hashes
            .iter()
            .for_each(|hash| self.cache.forget_not_seen(*hash));
    }

    /// Asks once more for files that Defender does not know yet.
    pub(super) async fn ask_again(
        self: &Arc<Self>,
        results: &mut HashMap<FileHash, HashResult>,
        deadline: Instant,
    ) {
        let mut hashes = not_seen(results);
        hashes.truncate(MAX_AGAIN);
        if hashes.is_empty() || Instant::now() + AGAIN_AFTER * 2 > deadline {
            return;
        }
        sleep(AGAIN_AFTER).await;
        let again = self.anew(hashes, deadline).await;
        // A failure does not take the place of an answer.
        results.extend(again.into_iter().filter(|(_, one)| one.verdict.is_some()));
    }

    /// Asks again for every file that was not seen, if responses since `since` were mixed
    /// up: such a 404 may be about another file, so a failure takes its place.
    pub async fn confirm_not_seen(
        self: &Arc<Self>,
        results: &mut HashMap<FileHash, HashResult>,
        since: Instant,
        deadline: Instant,
    ) {
        if !self.mixed_up_since(since) {
            return;
        }
        let again = self.anew(not_seen(results), deadline).await;
        results.extend(again);
    }

    async fn anew(
        self: &Arc<Self>,
        hashes: Vec<FileHash>,
        deadline: Instant,
    ) -> Vec<(FileHash, HashResult)> {
        self.forget_not_seen(&hashes);
        self.look_up_each(hashes, deadline).collect().await
    }
}

/// The hashes of files that Defender does not know.
fn not_seen(results: &HashMap<FileHash, HashResult>) -> Vec<FileHash> {
    let not_seen = results.iter().filter(|(_, one)| one.found == Some(false));
    not_seen.map(|(hash, _)| *hash).collect()
}
