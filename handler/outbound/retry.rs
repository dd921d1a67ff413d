//! The time of the next try of a failed call.
//!
//! Three retries, 0.8 s doubling, with jitter; a `Retry-After` is never
//! undercut. Source: retry guidelines of the Azure SDKs,
//! <https://azure.github.io/azure-sdk/general_azurecore.html>

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Retries after the first try.
pub(crate) const MAX_RETRIES: u32 = 3;

/// The longest pause that a response can impose on other callers, the longest window
/// of the quota. A call that should wait longer ends.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

const FIRST_DELAY: Duration = Duration::from_millis(800);

/// The wait before retry `retry` (from 0), with `jitter` from 0 to 1.
///
/// `hint` is the wait that the service asked for: at least that long. Without it
/// 0.8 s, 1.6 s, 3.2 s, each plus up to as much again.
pub(crate) fn delay(retry: u32, hint: Option<Duration>, jitter: f64) -> Duration {
    let backoff = FIRST_DELAY * 2_u32.saturating_pow(retry.min(MAX_RETRIES));
    match hint {
        Some(hint) if hint >= FIRST_DELAY => hint.min(LONGEST_PAUSE) + FIRST_DELAY.mul_f64(jitter),
        Some(_) => FIRST_DELAY + FIRST_DELAY.mul_f64(jitter),
        None => backoff + backoff.mul_f64(jitter),
    }
}

/// The seconds of a `Retry-After` of ours: rounded up, so that no caller comes back too
/// early.
pub(crate) fn seconds_rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The wait that `Retry-After` asks for, in seconds or as an HTTP date.
///
/// A date in the past is zero; what is neither, a negative number included,
/// counts as absent.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn parse(text: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 10:00:00 GMT").unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
        retry_after(&headers, now)
    }

    #[test]
    fn a02_retry_after_is_read_in_both_forms() {
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            parse("Mon, 23 Nov 2026 10:00:09 GMT"),
            Some(Duration::from_secs(9))
        );
        assert_eq!(parse("Mon, 23 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("999999"), Some(Duration::from_secs(999_999)));
        for garbage in ["-5", "soon", "", "1.5", "99999999999999999999999"] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a03_delays_double_and_carry_jitter() {
        let delays = |jitter| [0, 1, 2].map(|retry| delay(retry, None, jitter).as_millis());
        assert_eq!(delays(0.0), [800, 1_600, 3_200]);
        assert_eq!(delays(1.0), [1_600, 3_200, 6_400]);
    }

    #[test]
    fn a02_a_hint_is_never_undercut_and_a_past_one_means_the_shortest_wait() {
        assert!(delay(0, Some(Duration::from_secs(7)), 0.0) >= Duration::from_secs(7));
        assert_eq!(delay(2, Some(Duration::ZERO), 0.0), FIRST_DELAY);
        assert!(
            delay(0, Some(Duration::from_secs(999_999)), 1.0)
                < LONGEST_PAUSE + Duration::from_secs(1)
        );
    }
}
