//! Slow peers, refused connections, certificates and proxies.

use std::time::{Duration, Instant};

use handler::outbound::http::{FetchError, HttpClient, TimeLimits};
use sandbox::{Body, Fault, Sandbox, Tenant};
use serde_json::Value;

use super::{fails, is_reported_as_failure};
use crate::support::{
    App,
    app::{MALWARE, unknown_hash, within},
    host::ClosedPort,
    tls,
};

#[tokio::test]
async fn a17_slow_headers_and_a_dribbling_body_end_with_the_deadline() {
    let asked = Instant::now();
    fails(
        Fault::json("{}").delay(Duration::from_secs(60)),
        "throttled",
        "deadline_exceeded",
    )
    .await;
    fails(
        Fault::json("").body(Body::Dribble),
        "throttled",
        "deadline_exceeded",
    )
    .await;
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a17_every_phase_has_a_limit_of_its_own() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let short = Duration::from_millis(300);
    let long = Duration::from_secs(60);
    let base = TimeLimits {
        connect: long,
        first_byte: long,
        idle: long,
        total: long,
    };
    let limits = [
        (
            "first byte",
            TimeLimits {
                first_byte: short,
                ..base
            },
            Fault::json("{}").delay(long),
        ),
        (
            "idle",
            TimeLimits {
                idle: short,
                ..base
            },
            Fault::json("").body(Body::Dribble),
        ),
        (
            "total",
            TimeLimits {
                total: short,
                ..base
            },
            Fault::json("").body(Body::Dribble),
        ),
    ];
    for (phase, limits, fault) in limits {
        cloud.clear_faults();
        cloud.add_fault(fault);
        let request =
            reqwest::Request::new(reqwest::Method::GET, cloud.defender_url().parse().unwrap());
        let deadline = tokio::time::Instant::now() + long;
        let fetched = within(10, HttpClient::new(limits).fetch(request, 1_000, deadline)).await;
        assert_eq!(
            fetched.map(|answer| answer.status).unwrap_err(),
            FetchError::Timeout(phase)
        );
    }
}

#[tokio::test]
async fn a17_a_peer_that_never_answers_the_tls_greeting_is_given_up() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let long = Duration::from_secs(60);
    let limits = TimeLimits {
        connect: Duration::from_millis(300),
        first_byte: long,
        idle: long,
        total: long,
    };
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
    let fetched = within(
        10,
        HttpClient::new(limits).fetch(request, 1_000, tokio::time::Instant::now() + long),
    )
    .await;
    assert_eq!(
        fetched.map(|answer| answer.status).unwrap_err(),
        FetchError::Timeout("connect")
    );
}

#[tokio::test]
async fn a21_refused_connections_and_unknown_names_are_an_outage() {
    let closed = ClosedPort::new();
    let refused = format!("http://127.0.0.1:{}", closed.number());
    for url in [refused.as_str(), "https://defender.invalid"] {
        let app =
            App::start_with(&[("DEFENDER_API_URL", url), ("LOOKUP_DEADLINE_SECONDS", "20")]).await;
        let answer = within(30, app.post_hashes(&[MALWARE])).await.json();
        is_reported_as_failure(&answer, "failed", "upstream_unavailable");
        assert!(
            !answer.to_string().contains(url),
            "no internal address in an answer"
        );
        assert!(
            answer["results"][0]["error"]["retryAfterSeconds"]
                .as_u64()
                .is_some_and(|wait| wait > 0)
        );
        let many: Vec<String> = (0..20).map(unknown_hash).collect();
        within(
            30,
            app.post_hashes(&many.iter().map(String::as_str).collect::<Vec<_>>()),
        )
        .await;
        app.host
            .console_line(|line| line.level == "Warning" && line.text.contains("breaker_open"))
            .await;
    }
}

#[tokio::test]
async fn a22_a_token_is_never_sent_to_a_proxy() {
    let proxy = Sandbox::start(Tenant::default()).await.unwrap();
    let app = App::start_with(&[
        ("HTTP_PROXY", &proxy.defender_url()),
        ("http_proxy", &proxy.defender_url()),
    ])
    .await;
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
    assert_eq!(proxy.defender_calls().len(), 0);
}

/// The verdict on [`MALWARE`] over TLS, with a certificate of this kind.
async fn over_tls(certificate: tls::Certificate) -> (Value, App) {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let behind = cloud
        .defender_url()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let server = tls::start(certificate, behind).await;
    let url = format!("https://localhost:{}", server.port);
    let trusted = server.trusted.display().to_string();
    let app = App::start_on(
        cloud,
        &[("DEFENDER_API_URL", &url), ("SSL_CERT_FILE", &trusted)],
    )
    .await;
    let answer = within(20, app.post_hashes(&[MALWARE])).await.json();
    (answer, app)
}

#[tokio::test]
async fn a20_a_certificate_that_is_not_valid_is_final() {
    for certificate in [tls::Certificate::WrongHost, tls::Certificate::Expired] {
        let (answer, app) = over_tls(certificate).await;
        is_reported_as_failure(&answer, "failed", "upstream_tls");
        assert!(
            answer["results"][0]["error"]["detail"]
                .as_str()
                .unwrap()
                .contains("DEFENDER_API_URL")
        );
        assert_eq!(app.calls(), 0, "nothing is sent, and nothing without TLS");
    }
    let (answer, _) = over_tls(tls::Certificate::Good).await;
    assert_eq!(answer["summary"]["malicious"], 1, "{answer}");
}

#[tokio::test]
async fn a20_plain_text_where_tls_is_expected_is_not_an_answer() {
    let cloud = Sandbox::start(Tenant::default()).await.unwrap();
    let url = cloud
        .defender_url()
        .replace("http://127.0.0.1", "https://localhost");
    let app = App::start_on(cloud, &[("DEFENDER_API_URL", &url)]).await;
    let answer = within(20, app.post_hashes(&[MALWARE])).await.json();
    is_reported_as_failure(&answer, "failed", "upstream_tls");
    assert_eq!(app.calls(), 0);
}
