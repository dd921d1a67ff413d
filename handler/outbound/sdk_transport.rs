//! The transport of the Azure SDK: our HTTP client, with a limit on the size of a
//! response. Redirects and time limits are those of the client.

use async_trait::async_trait;
use azure_core::{
    Error,
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Request},
};
use bytes::BytesMut;
use futures::StreamExt;

/// Largest response to a request for a token or a secret, in bytes. Real ones have
/// a few kilobytes.
const MAX_BYTES: usize = 1 << 20;

/// A client that reads bounded responses for the SDK.
#[derive(Debug)]
pub(crate) struct SdkTransport {
    client: reqwest::Client,
}

impl SdkTransport {
    /// The transport over a client.
    pub(crate) fn new(client: reqwest::Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl HttpClient for SdkTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.client.execute_request(request).await?;
        let (status, headers, mut body) = response.deconstruct();
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if bytes.len() + piece.len() > MAX_BYTES {
                let text = format!("the response is larger than {MAX_BYTES} bytes");
                return Err(Error::with_message(ErrorKind::DataConversion, text));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(AsyncRawResponse::from_bytes(
            status,
            headers,
            bytes.freeze(),
        ))
    }
}
