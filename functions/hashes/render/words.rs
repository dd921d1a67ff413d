//! The words for a result: its verdict, the reason, and what was found in the tenant.

use crate::{
    hashes::{
        Evidence, HashResult, ItemStatus, LookupAnswer, evidence::Indicators, result::status_word,
    },
    report::text::counted,
};

impl LookupAnswer {
    /// The sentence about hashes that were not checked; `None` if all were.
    pub(super) fn not_checked(&self) -> Option<String> {
        let (failed, invalid, total) = (
            self.summary.failed,
            self.summary.invalid,
            self.summary.total,
        );
        let reason = self
            .results
            .iter()
            .find(|result| result.verdict.is_none())?
            .error
            .as_ref()?;
        Some(format!(
            "{} of {} NOT checked: {}",
            failed + invalid,
            counted(total, "hash", "hashes"),
            reason.detail
        ))
    }

    /// The sentence with the number of each verdict.
    pub(super) fn counts(&self) -> String {
        let s = &self.summary;
        format!(
            "Microsoft Defender on {}: {} malicious, {} suspicious, {} unknown, {} clean (as of {}).",
            counted(s.total, "hash", "hashes"),
            s.malicious,
            s.suspicious,
            s.unknown,
            s.clean,
            self.as_of
        )
    }
}

/// The verdict in a word or two; `NOT CHECKED` without one.
pub(super) fn word(result: &HashResult) -> String {
    match (result.verdict, result.status) {
        (Some(verdict), _) if result.stale => format!("{} (stale)", verdict.as_str()),
        (Some(verdict), _) => verdict.as_str().to_owned(),
        (None, ItemStatus::Throttled | ItemStatus::Failed) => "NOT CHECKED".to_owned(),
        (None, status) => status_word(status).to_owned(),
    }
}

/// The reason for a verdict or the lack of one, then what was found in the tenant.
pub(super) fn why(result: &HashResult) -> String {
    let reason = result.reasons.first().map(|reason| reason.text.clone());
    let reason = reason.or_else(|| result.error.as_ref().map(|error| error.detail.clone()));
    let mut parts: Vec<String> = reason.into_iter().collect();
    parts.extend(in_this_tenant(&result.evidence));
    parts.join("; ")
}

/// A part for every source that was read, also if it has nothing, and for every one
/// that could not be read.
fn in_this_tenant(evidence: &Evidence) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(stats) = evidence
        .stats
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        let seen = stats.organization_prevalence;
        let seen = seen.map_or("an unknown number of devices".to_owned(), |count| {
            counted(count as usize, "device", "devices")
        });
        parts.push(format!("seen on {seen} in this tenant in 30 days"));
    }
    let at_least = |more: bool| if more { "at least " } else { "" };
    if let Some(devices) = evidence
        .devices
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(format!(
            "{}{} in this tenant saw it",
            at_least(devices.more),
            counted(devices.count, "device", "devices")
        ));
    }
    if let Some(alerts) = evidence
        .alerts
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(format!(
            "{}{} it",
            at_least(alerts.more),
            counted(
                alerts.count,
                "alert in this tenant involves",
                "alerts in this tenant involve"
            )
        ));
    }
    if let Some(found) = evidence
        .indicators
        .as_ref()
        .and_then(|source| source.data.as_ref())
    {
        parts.push(indicators(found));
    }
    let errors = evidence.errors().into_iter();
    parts.extend(errors.map(|(source, error)| format!("{source} NOT read ({})", error.code)));
    parts
}

fn indicators(found: &Indicators) -> String {
    let actions: Vec<&str> = found
        .items
        .iter()
        .map(|indicator| {
            indicator
                .action
                .as_deref()
                .unwrap_or("of an unknown action")
        })
        .collect();
    let text = match actions.as_slice() {
        [] => "no Indicator in this tenant".to_owned(),
        actions => format!("Indicator in this tenant: {}", actions.join(", ")),
    };
    if found.own_only {
        format!("{text} (only those that this app made are visible)")
    } else {
        text
    }
}
