//! What each answer of Defender means, and who has to act.
//!
//! Source: <https://learn.microsoft.com/defender-endpoint/api/common-errors>

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use reqwest::{StatusCode, header};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{DefenderError, Endpoint, Found, Kind};
use crate::{
    http::{Answer, FetchError},
    identity::Token,
    retry,
};

/// Code of a query whose rows are more than one answer may hold.
pub(super) const RESULT_TOO_LARGE: &str = "result_too_large";

/// A longer answer is a list, whose reader finds out by itself whether it is JSON.
const LONG: usize = 1 << 20;

/// What to do after one try.
pub(super) enum Outcome {
    Done(Found),
    Retry {
        error: DefenderError,
        hint: Option<Duration>,
        most: u32,
    },
    Unauthorized(Answer),
    Failed(DefenderError),
}

/// What a call without an answer means.
pub(super) fn failed_fetch(error: &FetchError) -> Outcome {
    let known = DefenderError::from(error);
    match error {
        FetchError::Connect(_) | FetchError::Timeout(_) | FetchError::Interrupted(_) => {
            Outcome::Retry {
                error: known,
                hint: None,
                most: retry::MAX_RETRIES,
            }
        }
        FetchError::Tls(_) | FetchError::TooLarge(_) | FetchError::NoClient(_) => {
            Outcome::Failed(known)
        }
    }
}

/// What an answer means: the table of the common errors page.
pub(super) fn read(
    answer: Answer,
    endpoint: &Endpoint,
    audience_setting: &str,
    token: &Token,
) -> Outcome {
    let hint = retry::retry_after(&answer.headers, SystemTime::now());
    match answer.status {
        StatusCode::OK => read_json(&answer),
        StatusCode::NOT_FOUND if is_documented_404(&answer) => Outcome::Done(Found::No),
        StatusCode::UNAUTHORIZED => Outcome::Unauthorized(answer),
        StatusCode::FORBIDDEN => {
            Outcome::Failed(forbidden(&answer, endpoint, audience_setting, token))
        }
        StatusCode::TOO_MANY_REQUESTS => Outcome::Retry {
            error: throttled(&answer, hint),
            hint,
            most: retry::MAX_RETRIES,
        },
        StatusCode::REQUEST_TIMEOUT => Outcome::Retry {
            error: down(&answer, hint),
            hint,
            most: retry::MAX_RETRIES,
        },
        status if status.is_server_error() => Outcome::Retry {
            error: down(&answer, hint),
            hint,
            most: retry::MAX_RETRIES,
        },
        _ => Outcome::Failed(rejected(&answer)),
    }
}

fn read_json(answer: &Answer) -> Outcome {
    let content_type = answer
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type.to_ascii_lowercase().contains("json") {
        return Outcome::Retry {
            error: protocol("the answer is not JSON; is a proxy in between?"),
            hint: None,
            most: 1,
        };
    }
    if answer.body.len() > LONG {
        return Outcome::Done(Found::Yes(answer.body.clone()));
    }
    match serde_json::from_slice::<IgnoredAny>(&answer.body) {
        Ok(_) => Outcome::Done(Found::Yes(answer.body.clone())),
        Err(_) if answer.body.is_empty() => Outcome::Failed(protocol("the answer is empty")),
        Err(_) => Outcome::Retry {
            error: protocol("the answer is not valid JSON"),
            hint: None,
            most: retry::MAX_RETRIES,
        },
    }
}

/// Reads JSON whose texts may hold half a character, as names on Windows can: what
/// cannot be told is shown as a replacement, and costs no other row.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| match without_lone_surrogates(text) {
        Some(text) => serde_json::from_slice(&text),
        None => Err(error),
    })
}

/// The text with `\uFFFD` for every surrogate without its other half; `None` where
/// there is none.
fn without_lone_surrogates(text: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut mended, mut found, mut at) = (Vec::with_capacity(text.len()), false, 0);
    while at < text.len() {
        let length = match (unit(at), unit(at + 6)) {
            _ if text[at] != b'\\' => 1,
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.extend(b"\\uFFFD");
                (found, at) = (true, at + 6);
                continue;
            }
            _ => 2.min(text.len() - at),
        };
        mended.extend(&text[at..at + length]);
        at += length;
    }
    found.then_some(mended)
}

/// The documented error body: `{"error":{"code","message","target"}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorFields {
    code: String,
    message: String,
    /// The correlation id that Microsoft support asks for.
    target: Option<String>,
}

/// The answer is none that the documentation knows.
pub(super) fn protocol(why: &str) -> DefenderError {
    DefenderError::new(
        Kind::Protocol,
        "upstream_protocol",
        format!("Microsoft Defender answered otherwise than documented: {why}"),
        why,
    )
}

/// The token holds characters that no header may have.
pub(super) fn unusable_token() -> DefenderError {
    DefenderError::new(
        Kind::NoToken,
        "identity_unavailable",
        "the identity gave an unusable token",
        "control characters in the token",
    )
}

/// 429.
fn throttled(answer: &Answer, hint: Option<Duration>) -> DefenderError {
    let detail =
        "Microsoft Defender throttles this application; ask again later for what is missing";
    let error = refusal(Kind::Throttled, "upstream_throttled", detail, answer);
    DefenderError {
        retry_after: hint,
        ..error
    }
}

/// 408 and 5xx.
fn down(answer: &Answer, hint: Option<Duration>) -> DefenderError {
    let detail = format!(
        "Microsoft Defender is not available (status {}); ask again later",
        answer.status.as_u16()
    );
    let error = refusal(Kind::Unavailable, "upstream_unavailable", &detail, answer);
    DefenderError {
        retry_after: hint,
        ..error
    }
}

/// 401 again after the token was replaced.
pub(super) fn unauthorized(
    answer: &Answer,
    audience_setting: &str,
    token: &Token,
) -> DefenderError {
    let detail = format!(
        "Microsoft Defender refused the token; check `{audience_setting}` and the tenant of the identity. {}",
        in_use(token)
    );
    refusal(Kind::Unauthorized, "upstream_unauthorized", &detail, answer)
}

/// 403: a role is missing, or the audience, or the licence.
fn forbidden(
    answer: &Answer,
    endpoint: &Endpoint,
    audience_setting: &str,
    token: &Token,
) -> DefenderError {
    let (name, role, application) = (endpoint.name, endpoint.role, endpoint.application);
    let detail = if token.claims.scp.is_some() {
        format!(
            "Microsoft Defender refused this person's sign-in for {name}: use an identity that holds the application role \
             `{role}` (`az login --service-principal` or `--identity`), or ask the deployed service; docs/permissions.md"
        )
    } else if token.claims.roles.iter().any(|held| held == role) {
        format!(
            "Microsoft Defender refused {name} although the token holds `{role}`: check that `{audience_setting}` is the \
             audience of this cloud and that the tenant has a Defender for Endpoint licence"
        )
    } else {
        format!(
            "the identity lacks the application role `{role}` of {application}; grant it as docs/permissions.md says. {}",
            in_use(token)
        )
    };
    refusal(Kind::Forbidden, "missing_permission", &detail, answer)
}

/// Any other status: our request was not taken.
fn rejected(answer: &Answer) -> DefenderError {
    let detail = format!(
        "Microsoft Defender rejected the request (status {})",
        answer.status.as_u16()
    );
    let message = fields(answer).message.to_ascii_lowercase();
    let is_too_large = ["result size", "too large"];
    let code = match is_too_large.iter().any(|sign| message.contains(sign)) {
        true => RESULT_TOO_LARGE,
        false => "upstream_rejected",
    };
    refusal(Kind::Rejected, code, &detail, answer)
}

/// When the token was issued, and when a grant made since then takes effect.
fn in_use(token: &Token) -> String {
    format!(
        "The token in use was issued {} and expires {}; the platform keeps it for up to 24 hours, and a grant made since it \
         was issued takes effect with the next one",
        token.issued(),
        token.expires()
    )
}

/// An error with the correlation id that Microsoft's support asks for.
fn refusal(kind: Kind, code: &'static str, detail: &str, answer: &Answer) -> DefenderError {
    let detail = match correlation(answer) {
        Some(id) => format!("{detail} (correlation id {id})"),
        None => detail.to_owned(),
    };
    DefenderError::new(kind, code, detail, describe(answer))
}

/// Whether a 404 is Defender's own: the code of the page, or no body at all.
fn is_documented_404(answer: &Answer) -> bool {
    debug_assert_eq!(answer.status, StatusCode::NOT_FOUND);
    answer.body.is_empty()
        || ["NotFound", "ResourceNotFound"].contains(&fields(answer).code.as_str())
}

/// Status, error code, correlation id, size and digest, never the body.
fn describe(answer: &Answer) -> String {
    let code = fields(answer).code.chars().take(60).collect::<String>();
    let target = correlation(answer).unwrap_or_default();
    let mut digest = DefaultHasher::new();
    answer.body.hash(&mut digest);
    format!(
        "status {}, code `{code}`, correlation id `{target}`, {} bytes, digest {:016x}",
        answer.status.as_u16(),
        answer.body.len(),
        digest.finish()
    )
}

fn correlation(answer: &Answer) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    fields(answer)
        .target
        .filter(|id| id.len() <= 64 && id.chars().all(plain))
}

fn fields(answer: &Answer) -> ErrorFields {
    serde_json::from_slice::<ErrorBody>(&answer.body)
        .unwrap_or_default()
        .error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d2_half_a_character_costs_no_other_row() {
        let text = br#"["a\ud800b", "\udc00", "\ud83d\ude00", "\\ud800", "c"]"#;
        let read: Vec<String> = parse(text).unwrap();
        assert_eq!(
            read,
            ["a\u{FFFD}b", "\u{FFFD}", "\u{1F600}", "\\ud800", "c"]
        );
        assert!(parse::<Vec<String>>(b"[\"\\ud800\"").is_err());
    }
}
