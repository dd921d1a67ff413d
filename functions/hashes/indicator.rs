//! The Indicator that advice offers, and how it relates to Indicators that exist.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AdviceContext, Evidence, FileHash, FileProfile, Verdict,
    evidence::Indicator,
    guard::{ENFORCED_FOR, is_other_than_executable},
};

/// The body of `POST /api/indicators` of the Defender API.
///
/// Source: <https://learn.microsoft.com/defender-endpoint/api/post-ti-indicator>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndicatorRequest {
    /// The hash in lowercase. SHA-256 if it is known: it wins over SHA-1 where both are
    /// listed.
    pub indicator_value: String,
    /// `FileSha1` or `FileSha256`.
    pub indicator_type: String,
    /// `Block` for a malicious file, `Audit` for a suspicious one.
    pub action: String,
    /// The title in the portal.
    pub title: String,
    /// The threat, and who created the Indicator.
    pub description: String,
    /// `High` for a malicious file, else `Medium`.
    pub severity: String,
    /// True: the Indicator raises alerts.
    pub generate_alert: bool,
    /// The time at which the Indicator expires, RFC 3339.
    pub expiration_time: String,
}

impl IndicatorRequest {
    /// The Indicator for a file that is malicious or suspicious.
    pub(super) fn new(
        hash: FileHash,
        file: Option<&FileProfile>,
        verdict: Verdict,
        context: &AdviceContext,
    ) -> Self {
        let value = strongest(hash, file);
        let is_malicious = verdict == Verdict::Malicious;
        let threat = file
            .and_then(|file| file.determination_value.as_deref())
            .unwrap_or(verdict.as_str());
        let text = value.to_string();
        Self {
            title: format!("{} file {}", verdict.as_str(), &text[..12]),
            indicator_value: text,
            indicator_type: match value {
                FileHash::Sha1(_) => "FileSha1".to_owned(),
                FileHash::Sha256(_) => "FileSha256".to_owned(),
            },
            action: if is_malicious { "Block" } else { "Audit" }.to_owned(),
            description: format!("{threat}, by Defender Functions"),
            severity: if is_malicious { "High" } else { "Medium" }.to_owned(),
            generate_alert: true,
            expiration_time: context.indicator_expires.clone(),
        }
    }
}

fn strongest(hash: FileHash, file: Option<&FileProfile>) -> FileHash {
    let sha256 = file
        .and_then(|file| file.sha256.as_deref())
        .and_then(|text| text.parse().ok());
    match (hash, sha256) {
        (FileHash::Sha1(_), Some(sha256 @ FileHash::Sha256(_))) => sha256,
        _ => hash,
    }
}

/// The reason to create an Indicator, and how it takes effect.
pub(super) fn reason(file: Option<&FileProfile>, verdict: Verdict) -> String {
    let why = match verdict {
        Verdict::Malicious => "Microsoft determined malware",
        _ => "the file is suspicious; Audit raises alerts without blocking",
    };
    let kind = match file.is_some_and(is_other_than_executable) {
        true => {
            "Defender reports that the file is not a PE file, so Windows would not enforce an Indicator. "
        }
        false => "",
    };
    format!(
        "{why}. {kind}An accepted Indicator takes effect within 15 minutes to 2 hours, on devices with Defender Antivirus in active \
         mode, and not under an antivirus exclusion. {ENFORCED_FOR}. It overwrites an Indicator that is there for the same hash"
    )
}

/// The reason to review the Indicators that exist; `None` if there are none, or if they
/// agree with the verdict.
pub(super) fn reason_to_review(verdict: Verdict, evidence: &Evidence) -> Option<String> {
    let found = evidence.indicators.as_ref()?.data.as_ref()?;
    if found.items.is_empty() {
        return None;
    }
    let has = |word: &str| {
        let mut actions = found
            .items
            .iter()
            .filter_map(|indicator| indicator.action.as_deref());
        actions.any(|action| action.to_ascii_lowercase().contains(word))
    };
    let listed: Vec<String> = found.items.iter().map(describe).collect();
    let listed = listed.join(", ");
    match verdict {
        Verdict::Malicious | Verdict::Suspicious if has("allow") => Some(format!(
            "an Indicator in this tenant allows the file, so Defender does not stop it where that applies ({listed})"
        )),
        Verdict::Malicious | Verdict::Suspicious => Some(format!(
            "this tenant has an Indicator for the file ({listed}); a new one would overwrite it"
        )),
        Verdict::Clean if has("block") => Some(format!(
            "an Indicator in this tenant stops the file ({listed}), on which Microsoft has no detection"
        )),
        _ => None,
    }
}

/// An Indicator in a few words: what it does, for whom, until when.
fn describe(indicator: &Indicator) -> String {
    let mut text = indicator
        .action
        .clone()
        .unwrap_or_else(|| "unknown action".to_owned());
    if !indicator.rbac_group_names.is_empty() {
        text += &format!(" for {}", indicator.rbac_group_names.join(" and "));
    }
    if let Some(end) = &indicator.expiration_time {
        text += &format!(" until {end}");
    }
    text
}
