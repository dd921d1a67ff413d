//! The envelope in which the host wraps a timer, and an HTTP request where it does not
//! forward.
//!
//! There are no queue triggers, on purpose: a queue that cannot be reached stops the
//! host within a minute.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};
use tokio::time::Instant;

use super::problem_code::ProblemCode;
use super::{ApiError, MAX_BODY_BYTES, host, read_body};
use crate::invocation::{self, InvocationId};

/// The host runs next to us: its envelope arrives immediately.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Largest envelope: a body of the API, with its quotes escaped, and headers.
const MAX_BYTES: usize = 3 * MAX_BODY_BYTES;

/// One call of a function that the host wrapped.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The host's id of the call.
    pub id: InvocationId,
    data: Map<String, Value>,
}

/// The state of a timer: data of a `timerTrigger` binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerInfo {
    /// When it ran last; `None` at the first run or without a monitor.
    pub last: Option<OffsetDateTime>,
    /// The occurrence this run is for, or the one after it; `None` without a
    /// monitor or when run by hand.
    pub next: Option<OffsetDateTime>,
    /// True if an occurrence was missed and this run makes up for it.
    pub is_past_due: bool,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Data")]
    data: Map<String, Value>,
}

impl Invocation {
    /// Reads the envelope of a request, chunked or not.
    ///
    /// # Errors
    /// 400 with a code that starts with `envelope_`: the caller is not the
    /// host, or speaks another protocol.
    pub async fn read(request: Request<Body>) -> Result<Self, ApiError> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !content_type
            .to_ascii_lowercase()
            .starts_with("application/json")
        {
            return Err(bad(
                ProblemCode::EnvelopeContentType,
                "an invocation has the content type application/json",
            ));
        }
        let id = invocation::current()
            .map_or_else(|| host::invocation_id(request.headers()), |(_, id)| id);
        let body = read_body(request, MAX_BYTES, Instant::now() + ARRIVAL)
            .await
            .map_err(of_envelope)?;
        let envelope: Envelope = serde_json::from_slice(&body).map_err(|error| ApiError {
            cause: format!("line {}, column {}", error.line(), error.column()),
            ..bad(
                ProblemCode::EnvelopeInvalid,
                "the body is not an invocation: an object with `Data` and `Metadata`",
            )
        })?;
        Ok(Self {
            id,
            data: envelope.data,
        })
    }

    /// The input of a binding.
    ///
    /// # Errors
    /// 400 `envelope_input` when it is not there.
    pub fn input(&self, binding: &str) -> Result<&Value, ApiError> {
        self.data.get(binding).ok_or_else(|| {
            bad(
                ProblemCode::EnvelopeInput,
                format!("the invocation has no input `{binding}`"),
            )
        })
    }

    /// The input of a timer binding. Dates may lack an offset (then UTC) and
    /// the year 1 means never.
    ///
    /// # Errors
    /// 400 `envelope_input` when it is not there.
    pub fn timer(&self, binding: &str) -> Result<TimerInfo, ApiError> {
        let timer = self.input(binding)?;
        let status = &timer["ScheduleStatus"];
        Ok(TimerInfo {
            last: instant(&status["Last"]),
            next: instant(&status["Next"]),
            is_past_due: timer["IsPastDue"].as_bool().unwrap_or_default(),
        })
    }
}

/// A failure that the host reports to no one, so that the log has to.
fn of_envelope(problem: ApiError) -> ApiError {
    ApiError {
        code: problem.code.in_envelope(),
        ..problem
    }
}

fn bad(code: ProblemCode, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, detail)
}

fn instant(value: &Value) -> Option<OffsetDateTime> {
    let text = value.as_str()?;
    let without_offset = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]"
    );
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| {
            PrimitiveDateTime::parse(text, &without_offset)
                .ok()
                .map(PrimitiveDateTime::assume_utc)
        })
        .filter(|instant| instant.year() > 1)
}
