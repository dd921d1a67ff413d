//! JSON answers for hashes that are requested again and again, ready to send.
//!
//! Making an answer costs ten times what sending it costs. One stays ready as
//! long as the remembered entry behind it exists and is fresh, on the day whose
//! dates it has.

use std::sync::Arc;

use bytes::Bytes;
use functions::hashes::FileHash;
use quick_cache::{Weighter, sync::Cache};

use super::verdict_cache::CacheEntry;

/// Most bytes of ready answers.
const MAX_BYTES: u64 = 4 << 20;

/// How many the cache is laid out for.
const USUAL_ENTRIES: usize = 1_000;

#[derive(Clone, Debug)]
struct Ready {
    made_of: Arc<CacheEntry>,
    day: i32,
    json: Bytes,
}

#[derive(Clone, Copy, Debug)]
struct Length;

impl Weighter<FileHash, Ready> for Length {
    fn weight(&self, _: &FileHash, ready: &Ready) -> u64 {
        ready.json.len() as u64 + 100
    }
}

/// The ready answers by hash.
#[derive(Debug)]
pub(super) struct ReadyAnswers {
    entries: Cache<FileHash, Ready, Length>,
}

impl Default for ReadyAnswers {
    fn default() -> Self {
        Self {
            entries: Cache::with_weighter(USUAL_ENTRIES, MAX_BYTES, Length),
        }
    }
}

impl ReadyAnswers {
    /// The answer made of `entry` on `day`, by `make` where it is not ready.
    pub(super) fn get(
        &self,
        hash: FileHash,
        entry: Arc<CacheEntry>,
        day: i32,
        make: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        if let Some(ready) = self.entries.get(&hash)
            && Arc::ptr_eq(&ready.made_of, &entry)
            && ready.day == day
        {
            return Some(ready.json);
        }
        let json = make()?;
        let ready = Ready {
            made_of: entry,
            day,
            json: json.clone(),
        };
        self.entries.insert(hash, ready);
        Some(json)
    }
}
