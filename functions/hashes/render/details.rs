//! The facts about a file, in a few words each.

use crate::{
    hashes::{
        Evidence, FileAnswer, FileProfile, FileState, HashResult, Verdict, evidence::Indicators,
        guard::is_signed_by_microsoft,
    },
    report::text::counted,
};

/// The verdict of a file in a word or two; `NOT CHECKED` without one.
pub(super) fn word(file: &FileAnswer<'_>) -> String {
    match (file.verdict(), file.state()) {
        (Some(verdict), FileState::Stale(_)) => format!("{} (stale)", verdict.as_str()),
        (Some(verdict @ (Verdict::Malicious | Verdict::Suspicious)), _)
        | (Some(verdict), FileState::Checked) => verdict.as_str().to_owned(),
        _ => "NOT CHECKED".to_owned(),
    }
}

/// The reason for the verdict of a result, or for the lack of one.
pub(super) fn reason(result: &HashResult) -> String {
    let reason = result.reasons.first().map(|reason| reason.text.clone());
    reason
        .or_else(|| result.error.as_ref().map(|error| error.detail.clone()))
        .unwrap_or_default()
}

/// The reason for the verdict of a file, and why it was not checked.
pub(super) fn reasons(file: &FileAnswer<'_>) -> Vec<String> {
    let result = file.decisive();
    let reason = Some(reason(result)).filter(|_| result.verdict.is_some());
    reason.into_iter().chain(file.not_checked()).collect()
}

/// Everything that a person wants to know about a file: the reason for its verdict, the
/// signer, what the tenant saw, and what could not be read. Nothing for a zero.
pub(super) fn details(file: &FileAnswer<'_>) -> Vec<String> {
    let result = file.decisive();
    let signer = result.file.as_ref().and_then(signer);
    let texts = reasons(file).into_iter().chain(signer);
    let tenant = in_your_tenant(&result.evidence).map(|found| format!("In your tenant: {found}"));
    let details = texts.map(|text| capitalized(&text)).chain(tenant);
    details.chain(not_read(result)).collect()
}

impl FileAnswer<'_> {
    /// The verdict in a word or two; `NOT CHECKED` without one.
    pub fn word(&self) -> String {
        word(self)
    }

    /// The reason why it was not checked; `None` if it was.
    pub fn not_checked(&self) -> Option<String> {
        match self.state() {
            FileState::Checked => None,
            FileState::Stale(result) => {
                let time = minute(result.as_of.as_deref().unwrap_or_default());
                Some(format!(
                    "Microsoft Defender cannot be reached; the verdict is from {time} UTC"
                ))
            }
            FileState::NotAsked(result) | FileState::Unusable(result) => {
                let error = result.error.as_ref().map(|error| error.detail.clone());
                Some(error.unwrap_or_else(|| "no reason was given".to_owned()))
            }
        }
    }

    /// The reason for the verdict, or why there is none, then the signer.
    pub fn why(&self) -> String {
        let signer = self.decisive().file.as_ref().and_then(signer);
        let texts: Vec<String> = reasons(self).into_iter().chain(signer).collect();
        texts.join("; ")
    }

    /// The findings in the tenant, `none found` where all that was requested has nothing,
    /// and the sources that could not be read; empty where nothing was requested.
    pub fn tenant(&self) -> String {
        let result = self.decisive();
        let not_read = result.evidence_errors().into_iter();
        let not_read =
            not_read.map(|(source, error)| format!("{source} NOT read ({})", error.code));
        let found = in_your_tenant(&result.evidence).into_iter();
        match found.chain(not_read).collect::<Vec<_>>().join(", ") {
            nothing if nothing.is_empty() && result.evidence != Evidence::default() => {
                "none found".to_owned()
            }
            text => text,
        }
    }
}

/// The reason, the findings and the failures in one line, for a score.
pub(super) fn in_one_line(file: &FileAnswer<'_>) -> String {
    let result = file.decisive();
    let parts = [reason(result)].into_iter();
    let parts = parts
        .chain(in_your_tenant(&result.evidence))
        .chain(not_read(result));
    parts.collect::<Vec<_>>().join("; ")
}

/// The signer of the file, and the consequence for a block.
pub(super) fn signer(file: &FileProfile) -> Option<String> {
    let signer = file
        .signer
        .as_deref()
        .filter(|signer| !signer.trim().is_empty())?;
    Some(match file.is_valid_certificate {
        _ if is_signed_by_microsoft(file) => format!("signed by {signer}: do not block"),
        Some(true) => format!("signed by {signer}"),
        Some(false) => format!("names {signer} as its signer, but the signature is not valid"),
        None => format!("names {signer} as its signer; the signature was not judged"),
    })
}

/// The findings in the tenant; `None` where nothing was found.
fn in_your_tenant(evidence: &Evidence) -> Option<String> {
    let mut parts = Vec::new();
    let stats = evidence.stats.as_ref().and_then(|one| one.data.as_ref());
    let devices = evidence.devices.as_ref().and_then(|one| one.data.as_ref());
    let seen_on = stats
        .and_then(|stats| stats.organization_prevalence)
        .filter(|count| *count > 0);
    if let Some(devices) = devices.filter(|devices| devices.count > 0) {
        parts.push(at_least(devices.more, devices.count, "device", "devices"));
    } else if let Some(count) = seen_on {
        let devices = counted(
            usize::try_from(count).unwrap_or(usize::MAX),
            "device",
            "devices",
        );
        parts.push(format!("{devices} in 30 days"));
    }
    let alerts = evidence.alerts.as_ref().and_then(|one| one.data.as_ref());
    if let Some(alerts) = alerts.filter(|alerts| alerts.count > 0) {
        parts.push(at_least(alerts.more, alerts.count, "alert", "alerts"));
    }
    let indicators = evidence
        .indicators
        .as_ref()
        .and_then(|one| one.data.as_ref());
    parts.extend(indicators.and_then(self::indicators));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A count with its noun.
pub(super) fn found(count: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}

fn at_least(more: bool, count: usize, one: &str, many: &str) -> String {
    let start = if more { "at least " } else { "" };
    format!("{start}{}", counted(count, one, many))
}

fn indicators(found: &Indicators) -> Option<String> {
    let unknown = "of an unknown action";
    let actions = found
        .items
        .iter()
        .map(|one| one.action.as_deref().unwrap_or(unknown));
    let actions = actions.collect::<Vec<_>>().join(", ");
    let scope = if found.own_only {
        " (only those of this app are visible)"
    } else {
        ""
    };
    (!actions.is_empty()).then(|| format!("Indicator {actions}{scope}"))
}

/// The sources that could not be read. A file without a record has nothing to read.
fn not_read(result: &HashResult) -> Vec<String> {
    let errors = result.evidence_errors().into_iter();
    errors
        .map(|(source, error)| format!("NOT read: {source} ({})", error.detail))
        .collect()
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

/// A time of RFC 3339 in UTC, to the minute: `2026-11-30 05:52`.
pub(super) fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}
