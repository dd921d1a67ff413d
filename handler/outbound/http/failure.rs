//! The kind of failure behind an error of the HTTP library.

use std::error::Error;

use super::FetchError;

pub(super) fn classify(error: &reqwest::Error) -> FetchError {
    let text = chain(error);
    if causes(error).any(is_tls) {
        FetchError::Tls(text)
    } else if error.is_timeout() {
        FetchError::Timeout(if error.is_connect() {
            "connect"
        } else {
            "first byte"
        })
    } else if error.is_connect() {
        FetchError::Connect(text)
    } else {
        FetchError::Interrupted(text)
    }
}

/// Returns true for a peer that did not prove who it is, or does not speak TLS.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    // An error in an I/O error is not one of its sources, so it is looked for here.
    let wrapped = cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || wrapped.is_some_and(|inner| is_tls(inner))
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| {
        let cause: &'a (dyn Error + 'static) = *cause;
        cause.source()
    })
}

/// The causes of an error, outermost first. The URL is left out.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    if causes.is_empty() {
        "unknown cause".to_owned()
    } else {
        causes.join(": ")
    }
}
