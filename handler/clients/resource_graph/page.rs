//! One response from Resource Graph: a page, the quota that is left, or an error
//! whose useful part is in its details.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::outbound::{Code, Failure, Kind, Reply};

/// A page of rows.
#[derive(Debug)]
pub(super) struct Page {
    /// Each as it came: its record is made directly, without a tree of values.
    pub(super) rows: Vec<Box<RawValue>>,
    pub(super) count: u64,
    pub(super) total: u64,
    pub(super) truncated: bool,
    pub(super) skip_token: Option<String>,
    /// True if the scope holds more subscriptions than a query covers.
    pub(super) limit_hit: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    total_records: u64,
    count: u64,
    #[serde(default)]
    result_truncated: Value,
    #[serde(rename = "$skipToken", default)]
    skip_token: Option<String>,
    data: Vec<Box<RawValue>>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Failure`] when the response is not what Azure documents.
    pub(super) fn read(reply: &Reply<'_>) -> Result<Self, Failure> {
        let body: Body = reply.read_object().map_err(|error| {
            let mut failure = reply.protocol("is a proxy in between?");
            failure.cause += &format!(", line {}, column {}", error.line(), error.column());
            failure
        })?;
        let said = |value: &Value, word: bool| match value {
            Value::Bool(flag) => *flag == word,
            Value::String(text) => text.eq_ignore_ascii_case(if word { "true" } else { "false" }),
            _ => false,
        };
        let limit = reply
            .response
            .headers
            .get("x-ms-tenant-subscription-limit-hit");
        Ok(Self {
            rows: body.data,
            count: body.count,
            total: body.total_records,
            truncated: said(&body.result_truncated, true),
            skip_token: body.skip_token.filter(|token| !token.is_empty()),
            limit_hit: limit.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"false")),
        })
    }
}

/// The quota that is left; `None` where a response does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) remaining: Option<u64>,
    pub(super) resets_after: Option<Duration>,
}

impl Quota {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            remaining: text("x-ms-user-quota-remaining").and_then(|text| text.trim().parse().ok()),
            resets_after: text("x-ms-user-quota-resets-after").and_then(clock),
        }
    }
}

/// `hh:mm:ss`, at most an hour.
fn clock(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text
        .trim()
        .split(':')
        .map(|part| part.split('.').next().unwrap_or_default().parse().ok())
        .collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else {
        return None;
    };
    let seconds = hours.checked_mul(3_600)? + minutes.checked_mul(60)? + seconds;
    Some(Duration::from_secs(seconds.min(3_600)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorFields {
    code: String,
    details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    code: String,
}

/// The inner code, which says what is wrong; the outer one is always the same.
fn code_of(reply: &Reply<'_>) -> String {
    let error = reply.read::<ErrorBody>().unwrap_or_default().error;
    let inner = error
        .details
        .into_iter()
        .map(|detail| detail.code)
        .find(|code| !code.is_empty());
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    inner
        .unwrap_or(error.code)
        .chars()
        .filter(plain)
        .take(60)
        .collect()
}

/// 400 and 403: the identity may not read, or the query is wrong.
pub(super) fn refused(reply: &Reply<'_>) -> Failure {
    let inner = code_of(reply);
    let is_forbidden = reply.status().as_u16() == 403;
    let mut failure = if inner == "NoValidSubscriptionsInQueryRequest" {
        reply.failure(
            Kind::Forbidden,
            Code::MissingPermission,
            "the identity cannot read any subscription: grant it `Reader` at the management group or the subscriptions (docs/permissions.md)",
        )
    } else if is_forbidden {
        reply.failure(
            Kind::Forbidden,
            Code::MissingPermission,
            "the identity may not query Azure Resource Graph: grant it `Reader` at the management group or the subscriptions (docs/permissions.md)",
        )
    } else {
        let detail = format!(
            "Azure Resource Graph rejected the query (status {}, {inner})",
            reply.status().as_u16()
        );
        reply.failure(Kind::Rejected, Code::UpstreamRejected, detail)
    };
    failure.cause += &format!(", code `{inner}`");
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_quota_is_read() {
        assert_eq!(clock("00:00:05"), Some(Duration::from_secs(5)));
        assert_eq!(clock("00:01:02.5"), Some(Duration::from_secs(62)));
        assert_eq!(clock("99:00:00"), Some(Duration::from_secs(3_600)));
        for other in ["", "5", "a:b:c", "-1:00:00"] {
            assert_eq!(clock(other), None, "{other}");
        }
    }
}
