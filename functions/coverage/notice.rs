//! The message to people about downgrades.
//!
//! One digest as an Adaptive Card, for a Teams channel's Workflows webhook.
//! Source: <https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams>

use serde_json::{Value, json};

use super::{Change, CoverageReport, Summary};
use crate::report::markup;

/// Most changes that a digest names; the report has them all.
const MAX_ROWS: usize = Summary::MAX_DOWNGRADES;

/// Longest name that is shown; a webhook accepts 28 KB.
const LONGEST_NAME: usize = 80;

/// The message; `None` when nothing was downgraded.
pub fn render(report: &CoverageReport) -> Option<Value> {
    let downgrades: Vec<&Change> = report
        .changes
        .iter()
        .filter(|change| change.change.is_downgrade())
        .collect();
    if downgrades.is_empty() {
        return None;
    }
    let mut body = vec![
        text(
            &match downgrades.len() {
                1 => "Defender coverage: 1 downgrade".to_owned(),
                number => format!("Defender coverage: {number} downgrades"),
            },
            "Large",
        ),
        text(
            &format!(
                "As of {}, compared with {}.",
                report.summary.as_of,
                report.summary.since.as_deref().unwrap_or("nothing")
            ),
            "Default",
        ),
    ];
    if !report.summary.complete {
        body.push(text(
            "The report is NOT complete: more may have changed.",
            "Default",
        ));
    }
    let facts: Vec<Value> = downgrades
        .iter()
        .take(MAX_ROWS)
        .map(|change| fact(change))
        .collect();
    body.push(json!({ "type": "FactSet", "facts": facts }));
    if downgrades.len() > MAX_ROWS {
        let more = downgrades.len() - MAX_ROWS;
        body.push(text(
            &format!("{more} more are in changes.csv of the report."),
            "Default",
        ));
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "msteams": { "width": "Full" }, "body": body,
    });
    Some(json!({
        "type": "message",
        "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card }],
    }))
}

fn text(text: &str, size: &str) -> Value {
    json!({ "type": "TextBlock", "text": text, "size": size, "wrap": true })
}

fn fact(change: &Change) -> Value {
    let name: String = change
        .subscription_name
        .chars()
        .take(LONGEST_NAME)
        .collect();
    let mut value = match change.change {
        super::ChangeKind::Gone => "the subscription is gone".to_owned(),
        super::ChangeKind::NewlyExposed => {
            format!("{} AI accounts are exposed", change.ai_accounts)
        }
        _ => format!(
            "{}: {} before, {} now",
            change.plan_label, change.before, change.after
        ),
    };
    if !change.reason.is_empty() {
        value = format!("{value}, {}", change.reason);
    }
    if change.confirmed == Some(false) {
        value.push_str(" (NOT confirmed by Resource Manager)");
    }
    let title = format!("{} {}", change.change.as_str(), markup::markdown(&name));
    json!({ "title": title, "value": format!("{} ({})", markup::markdown(&value), change.subscription_id) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::{ChangeKind, Cloud, Estate};

    fn report(changes: Vec<Change>) -> CoverageReport {
        let mut report =
            CoverageReport::new(Estate::default(), Cloud::Public, "2026-11-23T06:00:00Z");
        report.changes = changes;
        report
    }

    fn change(kind: ChangeKind, name: &str) -> Change {
        Change {
            change: kind,
            subscription_id: "00000000-0000-4000-8000-000000000001".into(),
            subscription_name: name.into(),
            plan: "AI".into(),
            plan_label: "AI services".into(),
            before: "On".into(),
            after: "Off".into(),
            ai_accounts: 2,
            confirmed: Some(true),
            reason: String::new(),
        }
    }

    #[test]
    fn a_digest_names_twenty_downgrades_and_stays_small() {
        let many = vec![
            change(
                ChangeKind::Disabled,
                &"[x](https://evil.example)".repeat(20)
            );
            50
        ];
        let message = render(&report(many)).unwrap();
        let card = &message["attachments"][0]["content"];
        assert_eq!(card["body"][2]["facts"].as_array().unwrap().len(), 20);
        assert_eq!(
            card["body"][3]["text"],
            "30 more are in changes.csv of the report."
        );
        let text = message.to_string();
        assert!(
            text.len() < 28_000 && !text.contains("](http"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn an_upgrade_is_no_news() {
        assert_eq!(
            render(&report(vec![change(ChangeKind::Enabled, "x")])),
            None
        );
    }
}
