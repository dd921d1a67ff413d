//! Everything about one file, a labeled line for each fact.

use super::details::{found, signer};
use crate::{
    hashes::{
        Evidence, FileAnswer, FileProfile, HashResult,
        evidence::{Alert, Device, Indicator, Listed, Source},
    },
    report::text::visible,
};

/// Most items of a list that a line has.
const SHOWN: usize = 5;

impl FileAnswer<'_> {
    /// Everything about the file, each fact with its label, also that evidence was read and
    /// has nothing. A label is empty where a fact continues the one before.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let result = self.decisive();
        let mut facts = Vec::new();
        let mut line = |label, value: String| facts.push((label, visible(&value)));
        if let Some(name) = self.name() {
            line("Name", name.to_owned());
        }
        for reason in super::details::reasons(self) {
            line("Why", reason);
        }
        if let Some(file) = &result.file {
            of_defender(file, &mut line);
        }
        of_tenant(result, &mut line);
        for (at, next) in result.next_actions.iter().enumerate() {
            let label = if at == 0 { "Do next" } else { "" };
            line(label, format!("{}: {}", next.title, next.reason));
        }
        let pages = result
            .next_actions
            .iter()
            .filter(|next| next.action == "open_file_page");
        for page in pages.filter_map(|next| next.portal_url.clone()) {
            line("Portal", page);
        }
        if let Some(time) = &result.as_of {
            let source = if result.cached {
                "remembered answer"
            } else {
                "answer"
            };
            line("As of", format!("{time}, {source} of Microsoft Defender"));
        }
        facts
    }
}

fn of_defender(file: &FileProfile, line: &mut impl FnMut(&'static str, String)) {
    for (label, hash) in [
        ("SHA-256", &file.sha256),
        ("SHA-1", &file.sha1),
        ("MD5", &file.md5),
    ] {
        if let Some(hash) = hash {
            line(label, hash.clone());
        }
    }
    line(
        "Signer",
        signer(file).unwrap_or_else(|| "none named".to_owned()),
    );
    let devices = match file.global_prevalence {
        Some(count) => found(count, "device", "devices"),
        None => "not counted".to_owned(),
    };
    let first = file
        .global_first_observed
        .as_deref()
        .and_then(|time| time.get(..10));
    let first = first
        .map(|day| format!(", first seen {day}"))
        .unwrap_or_default();
    line("Worldwide", devices + &first);
}

/// Each source that was asked for: what it has, that it has nothing, or why it was not read.
fn of_tenant(result: &HashResult, line: &mut impl FnMut(&'static str, String)) {
    let Evidence {
        stats,
        alerts,
        devices,
        indicators,
    } = &result.evidence;
    let is_known = result.found == Some(true);
    if let Some(stats) = stats {
        let text = read(stats, is_known, |stats| {
            match stats.organization_prevalence {
                Some(count) => found(count, "device", "devices") + " in 30 days",
                None => "an unknown number of devices in 30 days".to_owned(),
            }
        });
        line("Your tenant", text);
    }
    if let Some(alerts) = alerts {
        line(
            "Alerts",
            read(alerts, is_known, |found| listed(found, alert)),
        );
    }
    if let Some(devices) = devices {
        line(
            "Devices",
            read(devices, is_known, |found| listed(found, device)),
        );
    }
    if let Some(indicators) = indicators {
        let text = read(indicators, is_known, |found| {
            let scope = if found.own_only {
                " (only those of this app are visible)"
            } else {
                ""
            };
            several(found.count, found.more, found.items.iter().map(indicator)) + scope
        });
        line("Indicators", text);
    }
}

/// The content of a source, or why it was not read.
fn read<T>(source: &Source<T>, is_known: bool, words: impl Fn(&T) -> String) -> String {
    match (&source.data, &source.error) {
        (Some(data), _) => words(data),
        (None, Some(error)) if !is_known && error.code == crate::hashes::SHA1_UNKNOWN => {
            "not asked: Defender has no record of the file".to_owned()
        }
        (None, Some(error)) => format!("NOT read: {}", error.detail),
        (None, None) => "NOT read".to_owned(),
    }
}

fn listed<T>(found: &Listed<T>, words: fn(&T) -> String) -> String {
    let items = found.items.as_deref().unwrap_or_default();
    several(found.count, found.more, items.iter().map(words))
}

/// A count and the first items: `2: a, b`.
fn several(count: usize, more: bool, items: impl Iterator<Item = String>) -> String {
    let at_least = if more { "at least " } else { "" };
    let items: Vec<String> = items.take(SHOWN).collect();
    match (count, items.is_empty()) {
        (0, _) => "none".to_owned(),
        (_, true) => format!("{at_least}{count}"),
        (_, false) if count > items.len() => {
            format!("{at_least}{count}: {}, ...", items.join(", "))
        }
        (_, false) => format!("{at_least}{count}: {}", items.join(", ")),
    }
}

fn alert(alert: &Alert) -> String {
    let title = alert.title.as_deref().unwrap_or("without a title");
    let severity = alert.severity.as_deref().unwrap_or("severity unknown");
    format!("{title} ({severity})")
}

fn device(device: &Device) -> String {
    let name = device.computer_dns_name.as_ref().or(device.id.as_ref());
    name.cloned().unwrap_or_else(|| "without a name".to_owned())
}

fn indicator(indicator: &Indicator) -> String {
    let action = indicator.action.as_deref().unwrap_or("unknown action");
    match &indicator.expiration_time {
        Some(end) => format!("{action} until {end}"),
        None => action.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::hashes::{
        Evidence, HashResult, ItemError, LookupAnswer, SHA1_UNKNOWN, Source,
        evidence::{Alert, Listed},
        result::samples::verified,
    };

    fn block(found: bool, code: &str) -> Vec<(&'static str, String)> {
        let error = ItemError {
            code: code.into(),
            detail: "the role is missing".into(),
            retry_after_seconds: None,
            cause: String::new(),
        };
        let evidence = Evidence {
            alerts: Some(Source::new(Ok(Listed::<Alert>::new(vec![])))),
            devices: Some(Source::new(Err(error))),
            ..Evidence::default()
        };
        let result = HashResult {
            evidence,
            found: Some(found),
            ..verified("Malware", "Trojan:Win32/\u{202e}X")
        };
        LookupAnswer::new(String::new(), vec![result])
            .overview()
            .files()[0]
            .facts()
    }

    #[test]
    fn field_h11_a_block_has_what_was_asked_also_where_there_is_nothing() {
        let known = block(true, "missing_permission");
        let value = |facts: &[(&str, String)], wanted: &str| {
            let mut facts = facts.iter();
            let fact = facts.find(|(label, _)| *label == wanted);
            fact.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!(value(&known, "Alerts"), "none");
        assert_eq!(value(&known, "Devices"), "NOT read: the role is missing");
        assert_eq!(value(&known, "Indicators"), "");
        assert!(value(&known, "Why").contains("Trojan:Win32/\\u{202E}X"));
        let unknown = block(false, SHA1_UNKNOWN);
        assert!(value(&unknown, "Devices").starts_with("not asked: "));
    }
}
