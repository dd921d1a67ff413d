//! The meaning of each response from Defender, and who must act.
//!
//! Source: <https://learn.microsoft.com/defender-endpoint/api/common-errors>

use reqwest::StatusCode;
use serde::Deserialize;

use super::{DefenderEndpoint, Found};
use crate::outbound::{Code, Failure, Kind, Meaning, Reply};

/// The meaning of a response, by the table of the page on common errors.
pub(super) fn meaning(reply: &Reply<'_>, endpoint: &DefenderEndpoint) -> Meaning<Found> {
    match reply.status() {
        StatusCode::OK => reply.json_body().map(Found::Yes),
        StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT
            if reply.response.body.is_empty() =>
        {
            Meaning::Done(Found::Yes(reply.response.body.clone()))
        }
        StatusCode::CREATED | StatusCode::ACCEPTED => reply.json_body().map(Found::Yes),
        StatusCode::NOT_FOUND if is_documented_404(reply) => Meaning::Done(Found::No),
        StatusCode::FORBIDDEN => Meaning::Failed(forbidden(reply, endpoint)),
        StatusCode::BAD_REQUEST => Meaning::Failed(rejected(reply)),
        _ => with_correlation(reply, reply.standard()),
    }
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

/// 403: a role is missing, or the audience, or the license.
fn forbidden(reply: &Reply<'_>, endpoint: &DefenderEndpoint) -> Failure {
    let (name, role, application) = (endpoint.endpoint.name, endpoint.role, endpoint.application);
    let service = reply.service;
    let claims = reply.token.map(|token| &token.claims);
    let is_person = claims.is_some_and(|claims| claims.scp.is_some());
    let is_held = claims.is_some_and(|claims| claims.roles.iter().any(|held| held == role));
    let detail = if is_person {
        format!(
            "{} refused this person's sign-in for {name}: use an identity that holds the application role \
             `{role}` (`az login --service-principal` or `--identity`), or ask the deployed service; docs/permissions.md",
            service.name
        )
    } else if is_held {
        format!(
            "{} refused {name} although the token holds `{role}`: check that `{}` is the \
             audience of this cloud and that the tenant has a Defender for Endpoint license",
            service.name, service.audience_setting
        )
    } else {
        format!(
            "the identity lacks the application role `{role}` of {application}; grant it as docs/permissions.md describes. {}",
            reply.token_in_use()
        )
    };
    let failure = reply.failure(Kind::Forbidden, Code::MissingPermission, detail);
    named(reply, failure)
}

/// 400: the request was not accepted, or its result is too large. Hunting documents
/// no code for the second: its message is the only sign.
/// Source: <https://learn.microsoft.com/defender-xdr/advanced-hunting-limits>
fn rejected(reply: &Reply<'_>) -> Failure {
    let message = fields(reply).message.to_ascii_lowercase();
    let mut failure = reply.rejected();
    if ["result size", "too large"]
        .iter()
        .any(|sign| message.contains(sign))
    {
        failure.code = Code::ResultTooLarge;
    }
    named(reply, failure)
}

/// The failure with the correlation id that Microsoft support asks for.
fn named(reply: &Reply<'_>, mut failure: Failure) -> Failure {
    let code: String = fields(reply).code.chars().take(60).collect();
    failure.cause += &format!(", code `{code}`");
    if let Some(id) = correlation(reply) {
        failure.detail += &format!(" (correlation id {id})");
        failure.cause += &format!(", correlation id `{id}`");
    }
    failure
}

fn with_correlation(reply: &Reply<'_>, meaning: Meaning<Found>) -> Meaning<Found> {
    match meaning {
        Meaning::Failed(failure) => Meaning::Failed(named(reply, failure)),
        Meaning::Retry {
            failure,
            max_retries,
        } => Meaning::Retry {
            failure: named(reply, failure),
            max_retries,
        },
        other => other,
    }
}

/// Returns true if Defender itself sent the 404: a documented code, or no body.
fn is_documented_404(reply: &Reply<'_>) -> bool {
    reply.response.body.is_empty()
        || ["NotFound", "ResourceNotFound"].contains(&fields(reply).code.as_str())
}

fn correlation(reply: &Reply<'_>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    fields(reply)
        .target
        .filter(|id| id.len() <= 64 && id.chars().all(plain))
}

fn fields(reply: &Reply<'_>) -> ErrorFields {
    reply.read::<ErrorBody>().unwrap_or_default().error
}
