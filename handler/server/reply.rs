//! The reply to an envelope: always 2xx, JSON and never empty.
//!
//! A reply without a body, `null` or 204 makes the host wait until the function's
//! time-out.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

/// The result of a function for the host.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    outputs: Map<String, Value>,
    logs: Vec<String>,
}

impl Reply {
    /// Success without outputs.
    pub fn done() -> Self {
        Self::default()
    }

    /// Adds a line to the log of the invocation; control characters are escaped.
    #[must_use]
    pub fn log(mut self, line: &str) -> Self {
        self.logs.push(line.escape_debug().to_string());
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
