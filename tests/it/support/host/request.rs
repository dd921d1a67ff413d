//! Requests of clients, as the host passes them on.

use serde_json::Value;

use super::HOST_VERSION;
use super::process::invocation_id;
use crate::support::wire::{self, Completed, InvocationFailure};

/// A reply, unread.
#[derive(Clone, Debug)]
pub struct RawReply {
    pub invocation_id: String,
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl RawReply {
    /// Reads the reply as the host does.
    pub fn read(&self) -> Result<Completed, InvocationFailure> {
        wire::read_reply(self.status, self.content_type.as_deref(), &self.body)
    }
}

/// Posts an envelope as the host does: chunked and without a length.
pub async fn post_envelope(
    client: &reqwest::Client,
    port: u16,
    function: &str,
    envelope: &Value,
) -> Result<RawReply, InvocationFailure> {
    let failure = |error: reqwest::Error| InvocationFailure::HttpRequest(error.to_string());
    let invocation_id = invocation_id();
    let piece = Ok::<_, std::io::Error>(envelope.to_string());
    let response = client
        .post(build_and_get_uri(port, function))
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-Azure-Functions-HostVersion", HOST_VERSION)
        .header("X-Azure-Functions-InvocationId", &invocation_id)
        .header("User-Agent", format!("Azure-Functions-Host/{HOST_VERSION}"))
        .body(reqwest::Body::wrap_stream(futures::stream::iter([piece])))
        .send()
        .await
        .map_err(failure)?;
    Ok(RawReply {
        invocation_id,
        status: response.status().as_u16(),
        content_type: response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        body: response.bytes().await.map_err(failure)?.to_vec(),
    })
}

/// A request of a client of the function app.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a str>,
}

impl<'a> ClientRequest<'a> {
    pub fn get(target: &'a str) -> Self {
        Self {
            method: "GET",
            target,
            headers: &[],
            body: None,
        }
    }

    pub fn post(target: &'a str, body: &'a str) -> Self {
        Self {
            method: "POST",
            target,
            headers: &[("Content-Type", "application/json")],
            body: Some(body),
        }
    }

    pub fn with(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A query as a forwarding host rewrites it: repeated keys joined by a comma.
pub(super) fn rebuild_query(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => joined.push((name.into_owned(), value.into_owned())),
        }
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(joined)
        .finish();
    format!("{path}?{query}")
}

/// The base URL with a path.
pub fn build_and_get_uri(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}/{path}")
}
