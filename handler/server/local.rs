//! Requests that a browser may not send to a service without tokens.
//!
//! `serve` with `API_AUTH=off` lets in everyone who reaches it: that is meant for the person
//! at this machine, not for the pages that their browser has open.

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};

use super::{ApiError, ProblemCode};

/// Refuses a request for another host name, or from a page of another site.
///
/// # Errors
/// 403 `not_local`.
pub(super) fn check(request: &Request<Body>) -> Result<(), ApiError> {
    let headers = request.headers();
    let is_local = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.all(|value| value.to_str().is_ok_and(is_loopback))
    };
    if !is_local(header::HOST) {
        return Err(refused(
            "the header `Host` names another machine; use 127.0.0.1 or localhost",
        ));
    }
    if !is_local(header::ORIGIN) || is_cross_site(headers) {
        return Err(refused("a page of another site sent the request"));
    }
    Ok(())
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// Returns true for a host or an origin on this machine, with any port.
fn is_loopback(text: &str) -> bool {
    let host = text.rsplit_once("://").map_or(text, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

fn refused(why: &str) -> ApiError {
    let detail = format!("`API_AUTH` is `off`, which is for this machine only: {why}");
    ApiError::new(StatusCode::FORBIDDEN, ProblemCode::NotLocal, detail)
}
