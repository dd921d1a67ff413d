//! The reply to an envelope: always 2xx, JSON and never empty.
//!
//! A reply without a body, `null` or 204 makes the host wait until the
//! function's time-out. A bare text in an output is decoded as base64 when it
//! happens to be valid, which every hash is: so messages are objects here.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

/// What a function gives back to the host.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    outputs: Map<String, Value>,
    logs: Vec<String>,
}

impl Reply {
    /// Success with nothing to hand over.
    pub fn done() -> Self {
        Self::default()
    }

    /// Adds a line to the log of the invocation; control characters are escaped.
    #[must_use]
    pub fn log(mut self, line: &str) -> Self {
        self.logs.push(line.escape_debug().to_string());
        self
    }

    /// Puts messages into a queue output, one object each.
    #[must_use]
    pub fn messages(
        mut self,
        binding: &str,
        messages: impl IntoIterator<Item = Map<String, Value>>,
    ) -> Self {
        self.outputs.insert(
            binding.to_owned(),
            messages.into_iter().map(Value::Object).collect(),
        );
        self
    }

    /// Sets an HTTP output: status, single-valued headers, body as text.
    #[must_use]
    pub fn http(
        mut self,
        binding: &str,
        status: StatusCode,
        headers: Map<String, Value>,
        body: &str,
    ) -> Self {
        // `statusCode`, as text: the host ignores `status`.
        let output = json!({ "statusCode": status.as_str(), "headers": headers, "body": body });
        self.outputs.insert(binding.to_owned(), output);
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        let body = json!({ "Outputs": self.outputs, "Logs": self.logs, "ReturnValue": null });
        let mut response = Response::new(Body::from(body.to_string()));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}
