//! What Defender said lately, bounded in bytes.
//!
//! How long an answer counts as fresh depends on its verdict; after that it is
//! kept for a day, to be told (and flagged) while Defender is down. Freshness
//! is an instant in the entry, so a paused clock ages it in tests.

use std::{sync::Arc, time::Duration};

use functions::hashes::{FileHash, FileProfile, Verdict, judge};
use moka::sync::Cache;
use tokio::time::Instant;

/// Most bytes of remembered answers.
const MAX_BYTES: u64 = 48 << 20;

/// How long an answer may be told at all.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// What the cache itself spends on an entry, estimated.
const ENTRY_OVERHEAD: usize = 200;

/// An answer of Defender, remembered under every hash of the file.
#[derive(Debug)]
pub struct Remembered {
    /// The file, `None` when Microsoft has never seen it.
    pub profile: Option<FileProfile>,
    /// When Defender said so, RFC 3339.
    pub as_of: String,
    at: Instant,
}

impl Remembered {
    /// An answer that came just now.
    pub fn new(profile: Option<FileProfile>, as_of: String) -> Self {
        Self {
            profile,
            as_of,
            at: Instant::now(),
        }
    }

    /// Whether it needs no new question yet.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < fresh_for(self.profile.as_ref())
    }

    /// Whether it may be told while Defender is down.
    pub fn is_tellable(&self) -> bool {
        self.at.elapsed() < KEPT
    }

    fn bytes(&self) -> usize {
        let texts = self.profile.as_ref().map_or(0, |file| {
            [
                &file.sha1,
                &file.sha256,
                &file.md5,
                &file.determination_type,
                &file.determination_value,
                &file.file_classification,
                &file.global_first_observed,
                &file.global_last_observed,
                &file.file_type,
                &file.file_publisher,
                &file.file_product_name,
                &file.signer,
                &file.issuer,
            ]
            .into_iter()
            .flatten()
            .map(String::capacity)
            .sum()
        });
        size_of::<Self>() + self.as_of.capacity() + texts
    }
}

/// How long an answer is fresh: the shorter, the more a change would matter.
fn fresh_for(profile: Option<&FileProfile>) -> Duration {
    let minutes = match profile.map(|profile| judge(profile).0) {
        Some(Verdict::Malicious) => 6 * 60,
        Some(Verdict::Suspicious) | Some(Verdict::Clean) => 60,
        Some(Verdict::Unknown) => 15,
        None => 5,
    };
    Duration::from_secs(minutes * 60)
}

/// The remembered answers by hash.
#[derive(Debug)]
pub struct VerdictCache {
    entries: Cache<FileHash, Arc<Remembered>>,
}

impl Default for VerdictCache {
    fn default() -> Self {
        let weigh = |_: &FileHash, entry: &Arc<Remembered>| {
            u32::try_from(entry.bytes() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
        };
        let entries = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(weigh)
            .time_to_live(KEPT)
            .build();
        Self { entries }
    }
}

impl VerdictCache {
    /// The last answer for a hash, fresh or not.
    pub fn get(&self, hash: FileHash) -> Option<Arc<Remembered>> {
        self.entries.get(&hash).filter(|entry| entry.is_tellable())
    }

    /// Remembers an answer under every hash it speaks for.
    pub fn put(&self, hashes: &[FileHash], answer: Remembered) -> Arc<Remembered> {
        let answer = Arc::new(answer);
        for hash in hashes {
            self.entries.insert(*hash, Arc::clone(&answer));
        }
        answer
    }

    /// Bytes that the remembered answers take, as the bound counts them.
    pub fn bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> FileHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        FileHash::Sha256(bytes)
    }

    fn file(determination: &str) -> Option<FileProfile> {
        Some(FileProfile {
            determination_type: Some(determination.to_owned()),
            ..FileProfile::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn every_verdict_has_a_life_of_its_own() {
        for (profile, minutes) in [
            (file("Malware"), 360),
            (file("Pua"), 60),
            (file("Clean"), 60),
            (file("Unknown"), 15),
            (None, 5),
        ] {
            let entry = Remembered::new(profile, String::new());
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(entry.is_fresh());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!entry.is_fresh() && entry.is_tellable());
            tokio::time::advance(KEPT).await;
            assert!(!entry.is_tellable());
        }
    }

    #[test]
    fn b16_the_cache_is_bounded_in_bytes() {
        let cache = VerdictCache::default();
        let long = "x".repeat(10_000);
        for number in 0..20_000 {
            let profile = FileProfile {
                signer: Some(long.clone()),
                ..FileProfile::default()
            };
            cache.put(
                &[hash(number)],
                Remembered::new(Some(profile), String::new()),
            );
        }
        let bytes = cache.bytes();
        assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES / 2, "{bytes}");
    }

    #[test]
    fn an_answer_is_found_under_every_hash_of_the_file() {
        let cache = VerdictCache::default();
        cache.put(
            &[hash(1), FileHash::Sha1([7; 20])],
            Remembered::new(None, String::new()),
        );
        assert!(cache.get(hash(1)).is_some() && cache.get(FileHash::Sha1([7; 20])).is_some());
        assert!(cache.get(hash(2)).is_none());
    }
}
