//! The message to people, once for each run.

use sandbox::Estate;

use super::{FIRST, SECOND, THIRD, get, tick};
use crate::support::{App, tls};

/// An app that reaches Key Vault and a webhook by their real names.
///
/// It reaches them through a proxy on loopback.
async fn with_webhook(url: &str) -> (App, tls::Authority) {
    let cloud = sandbox::Sandbox::start(sandbox::Tenant::default())
        .await
        .unwrap();
    cloud.set_secret("teams-webhook", url);
    let authority = tls::Authority::new();
    let (vault, webhook) = (
        "contoso.vault.azure.net",
        "default1.2.environment.api.powerplatform.com",
    );
    let ports = vec![
        (vault, authority.serve(&[vault], cloud.key_vault()).await),
        (webhook, authority.serve(&[webhook], cloud.webhook()).await),
    ];
    let proxy = format!("http://127.0.0.1:{}", tls::proxy(ports).await);
    let settings = [
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net"),
        ("NOTIFY_WEBHOOK", "teams-webhook"),
        ("HTTPS_PROXY", proxy.as_str()),
        ("SSL_CERT_FILE", authority.trusted.to_str().unwrap()),
    ];
    (App::start_on(cloud, &settings).await, authority)
}

const WEBHOOK: &str =
    "https://default1.2.environment.api.powerplatform.com:443/powerautomate/x/invoke?sig=SECRET";

#[tokio::test]
async fn a_downgrade_is_posted_to_the_webhook_once() {
    let (app, _authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    assert_eq!(app.cloud.posted().len(), 0, "a baseline posts nothing");
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    tick(&app, SECOND).await;
    let posted = app.cloud.posted();
    assert_eq!(posted.len(), 1);
    let card = posted[0].to_string();
    assert!(
        card.contains("2 downgrades") && card.contains("Contoso Production"),
        "{card}"
    );
    app.host
        .console_line(|line| line.text.contains("\"notified\""))
        .await;
}

#[tokio::test]
async fn a_message_is_not_posted_again_where_it_may_have_arrived() {
    let (app, _authority) = with_webhook(WEBHOOK).await;
    app.cloud.set_webhook_status(500);
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    assert_eq!(
        (app.cloud.webhook_calls(), app.cloud.posted().len()),
        (1, 0)
    );
    app.host
        .console_line(|line| {
            line.text.contains("\"notify_failed\"")
                && line.text.contains("may have been carried out")
        })
        .await;
}

#[tokio::test]
async fn a_refused_token_of_the_vault_is_replaced_once() {
    let (app, _authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    app.cloud.refuse_secrets(1);
    tick(&app, SECOND).await;
    assert_eq!(app.cloud.posted().len(), 1, "{:?}", app.host.console());
    let (app, _authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    app.cloud.refuse_secrets(usize::MAX);
    tick(&app, SECOND).await;
    let line = app
        .host
        .console_line(|line| line.text.contains("notify_failed"))
        .await;
    assert!(
        line.text.contains("refused the token") && !line.text.contains("give the identity"),
        "{line:?}"
    );
    assert_eq!(app.cloud.webhook_calls(), 0);
}

#[tokio::test]
async fn a_webhook_that_is_gone_asks_for_another_url() {
    for status in [401, 403, 404, 410] {
        let (app, _authority) = with_webhook(WEBHOOK).await;
        app.cloud.set_webhook_status(status);
        tick(&app, FIRST).await;
        app.cloud
            .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
        tick(&app, SECOND).await;
        let line = app
            .host
            .console_line(|line| line.text.contains("notify_failed"))
            .await;
        assert!(
            line.text.contains("make a new one in Teams") && !line.text.contains("grant"),
            "{line:?}"
        );
        assert_eq!(app.cloud.webhook_calls(), 1);
    }
}

#[tokio::test]
async fn a_message_is_not_posted_by_a_second_process_or_after_a_crash() {
    let (mut app, _authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    app.cloud.hang_webhook(true);
    let posting = async {
        while app.cloud.webhook_calls() == 0 {
            tokio::task::yield_now().await;
        }
    };
    // The process ends while the webhook holds the message.
    tokio::select! {
        _ = tick(&app, SECOND) => panic!("the webhook answers"),
        () = posting => app.host.kill(),
    }
    app.host.after_exit().await;
    app.cloud.hang_webhook(false);
    let shown = tick(&app, SECOND).await;
    assert_eq!(shown, "run 20261123T060000Z was already done");
    assert_eq!(app.cloud.webhook_calls(), 1, "{shown}");
}

/// A downgrade in the second run, whose message is posted.
pub(super) async fn downgraded() -> (App, tls::Authority) {
    let (app, authority) = with_webhook(WEBHOOK).await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    tick(&app, SECOND).await;
    assert_eq!(app.cloud.posted().len(), 1);
    (app, authority)
}

#[tokio::test]
async fn a_lost_pointer_posts_nothing_again() {
    let (app, _authority) = downgraded().await;
    std::fs::remove_file(app.reports.path().join("latest/coverage.json")).unwrap();
    tick(&app, THIRD).await;
    assert_eq!(app.cloud.posted().len(), 1);
    assert_eq!(
        get(&app, "/manifest.json").await.json()["slot"],
        "20261124T060000Z"
    );
}

#[tokio::test]
async fn c23_a_webhook_elsewhere_is_refused_and_holds_nothing_up() {
    let (app, _authority) = with_webhook("https://169.254.169.254/metadata?sig=SECRET").await;
    tick(&app, FIRST).await;
    app.cloud
        .set_estate(Estate::contoso().with_tier(1, "AI", "Free"));
    assert_eq!(
        tick(&app, SECOND).await,
        "run 20261123T060000Z is written, complete"
    );
    let line = app
        .host
        .console_line(|line| line.text.contains("notify_failed"))
        .await;
    assert!(line.text.contains("Workflows webhook"), "{line:?}");
    assert_eq!(
        get(&app, "/manifest.json").await.json()["slot"],
        "20261123T060000Z"
    );
}
