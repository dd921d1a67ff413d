//! Recent answers from Defender, bounded in bytes.
//!
//! How long an answer counts as fresh depends on its verdict; after that it is
//! kept for a day, to be shown (and flagged) while Defender is down. Freshness
//! is an instant in the entry, so a paused clock ages it in tests. An entry
//! holds the file as JSON, which takes half of what its many texts take.

use std::{sync::Arc, time::Duration};

use functions::hashes::{FileHash, FileProfile, Verdict, fresh_for, judge};
use quick_cache::{Weighter, sync::Cache};
use serde_json::Value;
use tokio::time::Instant;

/// Most bytes of remembered answers.
const MAX_BYTES: u64 = 92 << 20;

/// How many entries the cache is laid out for; it accepts more as well.
const USUAL_ENTRIES: usize = 10_000;

/// Longest time for which an answer may be shown.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Estimated bytes that the cache itself spends on an entry.
const ENTRY_OVERHEAD: usize = 100;

/// An answer from Defender.
#[derive(Clone, Debug)]
pub struct CachedAnswer {
    /// The file, `None` when Microsoft has never seen it.
    pub profile: Option<FileProfile>,
    /// When Defender said so, RFC 3339.
    pub as_of: String,
    at: Instant,
}

impl CachedAnswer {
    /// An answer that came just now.
    pub fn new(profile: Option<FileProfile>, as_of: String) -> Self {
        Self {
            profile,
            as_of,
            at: Instant::now(),
        }
    }

    /// Returns true if Defender need not be asked again yet.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < fresh_for(self.profile.as_ref())
    }

    /// Returns true if it may be shown while Defender is down.
    pub fn may_be_shown(&self) -> bool {
        self.at.elapsed() < KEPT
    }
}

/// An answer as the cache holds it, shared by all hashes of the file.
#[derive(Debug)]
pub(super) struct CacheEntry {
    profile: Option<Box<[u8]>>,
    as_of: Box<str>,
    at: Instant,
    fresh_for: Duration,
    /// `None` for a file that was never seen.
    verdict: Option<Verdict>,
    /// Under how many hashes it is remembered.
    hashes: usize,
}

impl CacheEntry {
    /// `None` for what cannot be written, which is then not remembered.
    fn new(answer: &CachedAnswer, hashes: usize) -> Option<Self> {
        let profile = match &answer.profile {
            Some(profile) => Some(compact(profile)?),
            None => None,
        };
        Some(Self {
            profile,
            as_of: answer.as_of.as_str().into(),
            at: answer.at,
            fresh_for: fresh_for(answer.profile.as_ref()),
            verdict: answer.profile.as_ref().map(|profile| judge(profile).0),
            hashes: hashes.max(1),
        })
    }

    /// Returns true if Defender need not be asked again yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.at.elapsed() < self.fresh_for
    }

    fn read(&self) -> Option<CachedAnswer> {
        let profile = match &self.profile {
            // An entry that cannot be read does not mean "never seen".
            Some(json) => Some(serde_json::from_slice(json).ok()?),
            None => None,
        };
        Some(CachedAnswer {
            profile,
            as_of: self.as_of.to_string(),
            at: self.at,
        })
    }

    fn bytes(&self) -> usize {
        let texts = self.profile.as_ref().map_or(0, |json| json.len()) + self.as_of.len();
        (size_of::<Self>() + texts) / self.hashes + ENTRY_OVERHEAD
    }
}

/// JSON without the fields that are null.
fn compact(profile: &FileProfile) -> Option<Box<[u8]>> {
    let mut value = serde_json::to_value(profile).ok()?;
    value
        .as_object_mut()?
        .retain(|_, field| *field != Value::Null);
    Some(serde_json::to_vec(&value).ok()?.into_boxed_slice())
}

#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<FileHash, Arc<CacheEntry>> for Bytes {
    fn weight(&self, _: &FileHash, entry: &Arc<CacheEntry>) -> u64 {
        entry.bytes() as u64
    }
}

/// The remembered answers by hash.
#[derive(Debug)]
pub struct VerdictCache {
    entries: Cache<FileHash, Arc<CacheEntry>, Bytes>,
}

impl Default for VerdictCache {
    fn default() -> Self {
        Self {
            entries: Cache::with_weighter(USUAL_ENTRIES, MAX_BYTES, Bytes),
        }
    }
}

impl VerdictCache {
    /// The last answer for a hash, fresh or not.
    pub fn get(&self, hash: FileHash) -> Option<CachedAnswer> {
        let answer = self.entry(hash)?.read()?;
        answer.may_be_shown().then_some(answer)
    }

    /// The entry for a hash.
    pub(super) fn entry(&self, hash: FileHash) -> Option<Arc<CacheEntry>> {
        self.entries.get(&hash)
    }

    /// Remembers an answer under every hash it speaks for, the one that was asked
    /// for first. Under the other one a fresh, more severe answer stays: two files
    /// can be made to share a SHA-1.
    pub fn put(&self, hashes: &[FileHash], answer: &CachedAnswer) {
        let Some(entry) = CacheEntry::new(answer, hashes.len()).map(Arc::new) else {
            return;
        };
        for (index, hash) in hashes.iter().enumerate() {
            let stays = |there: Arc<CacheEntry>| there.is_fresh() && there.verdict > entry.verdict;
            if index == 0 || !self.entry(*hash).is_some_and(stays) {
                self.entries.insert(*hash, Arc::clone(&entry));
            }
        }
    }

    /// Forgets the answer that a file was never seen.
    pub fn forget_not_seen(&self, hash: FileHash) {
        if self
            .entry(hash)
            .is_some_and(|entry| entry.profile.is_none())
        {
            self.entries.remove(&hash);
        }
    }

    /// Bytes that the remembered answers take, as the bound counts them.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
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
            let entry = CachedAnswer::new(profile, String::new());
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(entry.is_fresh());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!entry.is_fresh() && entry.may_be_shown());
            tokio::time::advance(KEPT).await;
            assert!(!entry.may_be_shown());
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
                &CachedAnswer::new(Some(profile), String::new()),
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
            &CachedAnswer::new(None, String::new()),
        );
        assert!(cache.get(hash(1)).is_some() && cache.get(FileHash::Sha1([7; 20])).is_some());
        assert!(cache.get(hash(2)).is_none());
    }

    #[test]
    fn a_file_that_shares_a_sha1_does_not_hide_a_worse_one() {
        let (sha1, cache) = (FileHash::Sha1([7; 20]), VerdictCache::default());
        let answer = |word| CachedAnswer::new(file(word), String::new());
        let kept = |hash| {
            cache
                .get(hash)
                .and_then(|entry| entry.profile?.determination_type)
        };
        cache.put(&[sha1, hash(1)], &answer("Malware"));
        cache.put(&[hash(2), sha1], &answer("Clean"));
        assert_eq!(kept(sha1).as_deref(), Some("Malware"));
        assert_eq!(kept(hash(2)).as_deref(), Some("Clean"));
        cache.put(&[sha1, hash(1)], &answer("Clean"));
        assert_eq!(kept(sha1).as_deref(), Some("Clean"), "asked for itself");
    }

    #[test]
    fn what_is_remembered_is_what_was_answered() {
        let sha1 = "ab".repeat(20);
        let answer = format!(
            r#"{{"sha1":"{sha1}","md5":"9202651c295369eb01cc7a10cd59adff","determinationType":"Malware","determinationValue":"T\u00e4st",
                "globalPrevalence":18446744073709551615,"isPeFile":false,"globalFirstObserved":"2018-12-03T15:44:44.6785431Z","fileClassification":"x"}}"#
        );
        let asked = sha1.parse().unwrap();
        let profile = FileProfile::read(answer.as_bytes(), asked).unwrap();
        let cache = VerdictCache::default();
        cache.put(
            &[asked],
            &CachedAnswer::new(Some(profile.clone()), "2026".into()),
        );
        let read = cache.get(asked).unwrap();
        assert_eq!((read.profile, read.as_of.as_str()), (Some(profile), "2026"));
    }
}
