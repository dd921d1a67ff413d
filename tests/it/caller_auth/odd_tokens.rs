//! Tokens and keys of unusual shape.

use serde_json::json;

use super::{ask, ask_as, is_unauthorized};
use crate::support::App;

#[tokio::test]
async fn a_token_that_names_extensions_is_refused() {
    let app = App::start_guarded(&[]).await;
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    let key = app.cloud.signing_key_id();
    let plain = json!({ "typ": "JWT", "alg": "RS256", "kid": key });
    let token = app.cloud.sign_with(&plain, &claims);
    let answer = ask(&app, &format!("Bearer {token}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for crit in [
        json!(["exp"]),
        json!(["b64", "x"]),
        json!([]),
        json!("b64"),
        json!(null),
    ] {
        let mut header = plain.clone();
        header["crit"] = crit.clone();
        let token = app.cloud.sign_with(&header, &claims);
        let answer = ask(&app, &format!("Bearer {token}")).await;
        is_unauthorized(&answer, "token_refused");
        assert!(answer.text.contains("`crit`"), "{crit}: {answer:?}");
    }
}

#[tokio::test]
async fn field_s18_a_list_of_issuers_is_refused() {
    let app = App::start_guarded(&[]).await;
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    assert_eq!(ask_as(&app, &claims).await.status, 200);
    let own = claims["iss"].clone();
    for issuer in [
        json!([own]),
        json!([own, "https://other.example"]),
        json!({}),
        json!(null),
    ] {
        let mut odd = claims.clone();
        odd["iss"] = issuer;
        is_unauthorized(&ask_as(&app, &odd).await, "token_refused");
    }
}

#[tokio::test]
async fn field_s18_an_odd_signing_key_takes_no_other_with_it() {
    let app = App::start_guarded(&[]).await;
    for odd in [
        json!({ "kid": null, "kty": "RSA", "n": 5 }),
        json!({ "kid": "x", "kty": ["RSA"] }),
        json!("key"),
        json!(["x", "RSA", "n", "e"]),
        json!(null),
        json!({ "kid": "ec", "kty": "EC", "crv": "P-256" }),
    ] {
        app.cloud.publish_key(odd);
    }
    let claims = app.cloud.caller_claims(&["Hashes.Read"]);
    assert_eq!(ask_as(&app, &claims).await.status, 200);
}
