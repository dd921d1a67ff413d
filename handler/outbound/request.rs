//! A request before it is sent, and the rule by which it may be sent again.

use bytes::Bytes;
use reqwest::{Method, header};
use serde_json::Value;
use url::Url;

/// The rule for sending a request again after a failure that leaves its effect open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads, or doing it twice is the same as doing it once.
    Safe,
    /// It writes: it is sent again only where the service certainly did nothing
    /// (no connection, a refused token, 429).
    Never,
}

/// The credentials that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A bearer token for the audience of the service.
    Token,
    /// None: the URL is public, or is itself the key.
    None,
}

/// A request to a service.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    /// On the host of the service.
    pub(super) url: Url,
    pub(super) body: Option<Body>,
    pub(super) repeat: Repeat,
    pub(super) credentials: Credentials,
    /// Largest response that is read, in bytes.
    pub(super) max_bytes: usize,
    /// Retries after temporary failures, in addition to the usual ones.
    pub(super) more_retries: u32,
    /// True if no earlier call may have used its connection.
    pub(super) on_new_connection: bool,
}

/// A body with its content type.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
}

impl Request {
    /// A GET that reads at most `max_bytes`.
    pub(crate) fn get(url: Url, max_bytes: usize) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
            repeat: Repeat::Safe,
            credentials: Credentials::Token,
            max_bytes,
            more_retries: 0,
            on_new_connection: false,
        }
    }

    /// A request that writes, and is sent again only where nothing was done.
    pub(crate) fn write(method: Method, url: Url, max_bytes: usize) -> Self {
        Self {
            method,
            repeat: Repeat::Never,
            ..Self::get(url, max_bytes)
        }
    }

    /// A request with a JSON body.
    pub(crate) fn json(
        method: Method,
        url: Url,
        body: &Value,
        repeat: Repeat,
        max_bytes: usize,
    ) -> Self {
        Self {
            method,
            repeat,
            ..Self::get(url, max_bytes)
        }
        .with_json(body.to_string())
    }

    /// The same with JSON text as its body.
    pub(crate) fn with_json(mut self, text: impl Into<Bytes>) -> Self {
        self.body = Some(Body {
            bytes: text.into(),
            content_type: "application/json",
        });
        self
    }

    /// The same with more retries after temporary failures.
    pub(crate) fn with_more_retries(mut self, count: u32) -> Self {
        self.more_retries = count;
        self
    }

    /// The same on a connection of its own.
    pub(crate) fn on_new_connection(mut self) -> Self {
        self.on_new_connection = true;
        self
    }

    /// The same without a token.
    pub(crate) fn anonymous(mut self) -> Self {
        self.credentials = Credentials::None;
        self
    }

    /// The request as it is sent.
    pub(super) fn build(&self, authorization: Option<header::HeaderValue>) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        let headers = request.headers_mut();
        let json = header::HeaderValue::from_static("application/json");
        headers.insert(header::ACCEPT, json);
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = &self.body {
            let content_type = header::HeaderValue::from_static(body.content_type);
            headers.insert(header::CONTENT_TYPE, content_type);
            *request.body_mut() = Some(body.bytes.clone().into());
        }
        request
    }
}
