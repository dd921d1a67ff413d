//! The meaning of responses, page by page.

use super::*;
use crate::outbound::http::Response;

fn read(status: u16, body: &str) -> Meaning<Resource> {
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: header::HeaderMap::new(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
    };
    let service = Service {
        name: "Azure Resource Manager".to_owned(),
        base: Url::parse("https://management.azure.com").unwrap(),
        url_setting: "ARM_URL",
        audience: String::new(),
        audience_setting: "ARM_AUDIENCE",
    };
    meaning(&Reply {
        response: &response,
        service: &service,
        token: None,
    })
}

#[test]
fn a_missing_resource_is_not_confused_with_a_wrong_question() {
    let error = |code: &str| format!("{{\"error\":{{\"code\":\"{code}\"}}}}");
    let gone = read(404, &error("SubscriptionNotFound"));
    assert!(
        matches!(gone, Meaning::Done(Resource::NotFound)),
        "{gone:?}"
    );
    let moved = read(401, &error("InvalidAuthenticationTokenTenant"));
    assert!(
        matches!(moved, Meaning::Done(Resource::Elsewhere)),
        "{moved:?}"
    );
    let refused = read(403, &error("AuthorizationFailed"));
    assert!(
        matches!(refused, Meaning::Done(Resource::Refused)),
        "{refused:?}"
    );
    for body in [error("NoRegisteredProviderFound"), "<html>".to_owned()] {
        let wrong = read(404, &body);
        assert!(matches!(wrong, Meaning::Failed(_)), "{wrong:?}");
    }
}

#[test]
fn an_expired_token_is_replaced_and_never_a_missing_role() {
    let expired = read(401, "{\"error\":{\"code\":\"ExpiredAuthenticationToken\"}}");
    assert!(matches!(expired, Meaning::Unauthorized), "{expired:?}");
}
