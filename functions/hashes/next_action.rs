//! Advice about a file, each piece with a reason. Nothing here acts.
//!
//! Source of how file Indicators behave:
//! <https://learn.microsoft.com/defender-endpoint/indicator-file>

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Evidence, FileHash, FileProfile, Verdict,
    evidence::{Listed, Source},
    guard::{is_signed_by_microsoft, may_be_blocked},
    hunting_query::{known_hashes, sightings},
    indicator::{self, IndicatorRequest},
};
use crate::report::text::counted;

/// One piece of advice. JSON `nextActions[]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextAction {
    /// `create_indicator`, `review_indicator`, `hunt`, `review_alerts`, `isolate_or_scan_devices` or
    /// `open_file_page`.
    pub action: Cow<'static, str>,
    /// The thing to do, in a few words.
    pub title: Cow<'static, str>,
    /// The reason.
    pub reason: String,
    /// The page of the Defender portal to do it on; null for none.
    pub portal_url: Option<String>,
    /// A ready advanced-hunting query; null for none.
    pub kql: Option<String>,
    /// The body of `POST /api/indicators` of the Defender API; null for none.
    pub request: Option<IndicatorRequest>,
}

/// The facts that advice needs in addition to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdviceContext {
    /// Base URL of the Defender portal of this cloud, without a slash at its end.
    pub portal: String,
    /// The time at which an Indicator that is created now expires, RFC 3339.
    pub indicator_expires: String,
}

/// Advice for a file that has a verdict, the most urgent first. `file` is `None` if
/// Microsoft has never seen it.
pub fn advise(
    hash: FileHash,
    file: Option<&FileProfile>,
    verdict: Verdict,
    context: &AdviceContext,
) -> Vec<NextAction> {
    let mut advice = Vec::new();
    let page = format!("{}/file/{}/overview", context.portal, hash);
    if verdict >= Verdict::Suspicious && may_be_blocked(file) {
        advice.push(NextAction {
            action: "create_indicator".into(),
            title: if verdict == Verdict::Malicious {
                "Block the file"
            } else {
                "Watch the file"
            }
            .into(),
            reason: indicator::reason(file, verdict),
            portal_url: Some(page.clone()),
            kql: None,
            request: Some(IndicatorRequest::new(hash, file, verdict, context)),
        });
    }
    if verdict >= Verdict::Unknown {
        advice.push(NextAction {
            action: "hunt".into(),
            title: "Hunt for the file".into(),
            reason: hunt_reason(file, verdict),
            portal_url: Some(format!("{}/v2/advanced-hunting", context.portal)),
            kql: Some(sightings(&known_hashes(hash, file))),
            request: None,
        });
    }
    if file.is_some() {
        advice.push(NextAction {
            action: "open_file_page".into(),
            title: "Open the file in the Defender portal".into(),
            reason: "it shows the devices and alerts in this tenant".to_owned(),
            portal_url: Some(page),
            kql: None,
            request: None,
        });
    }
    advice
}

/// Adds the advice that follows from evidence in the tenant.
///
/// If the tenant already has an Indicator for the file, the advice is to review it:
/// creating another would overwrite it.
pub fn advise_on_evidence(
    advice: &mut Vec<NextAction>,
    hash: &str,
    verdict: Verdict,
    evidence: &Evidence,
    context: &AdviceContext,
) {
    let page = |action: &'static str, title: &'static str, reason| NextAction {
        action: action.into(),
        title: title.into(),
        reason,
        portal_url: Some(format!("{}/file/{hash}/overview", context.portal)),
        kql: None,
        request: None,
    };
    if let Some(reason) = indicator::reason_to_review(verdict, evidence) {
        advice.retain(|next| next.action != "create_indicator");
        advice.insert(0, page("review_indicator", "Review the Indicator", reason));
    }
    let (alerts, devices) = (evidence.alert_count(), evidence.device_count());
    let mut more = Vec::new();
    if alerts > 0 {
        let alerts = counted(
            alerts,
            "alert in this tenant involves",
            "alerts in this tenant involve",
        );
        let reason = format!("{}{alerts} the file", at_least(evidence.alerts.as_ref()));
        more.push(page("review_alerts", "Review the alerts", reason));
    }
    if devices > 0 && verdict >= Verdict::Suspicious {
        let title = if verdict == Verdict::Malicious {
            "Isolate or scan the devices"
        } else {
            "Scan the devices"
        };
        let devices = counted(devices, "device", "devices");
        let reason = format!(
            "{}{devices} in this tenant saw the file",
            at_least(evidence.devices.as_ref())
        );
        more.push(page("isolate_or_scan_devices", title, reason));
    }
    let at = advice
        .iter()
        .position(|next| next.action == "open_file_page")
        .unwrap_or(advice.len());
    advice.splice(at..at, more);
}

fn at_least<T>(source: Option<&Source<Listed<T>>>) -> &'static str {
    let more = source
        .and_then(|source| source.data.as_ref())
        .is_some_and(|listed| listed.more);
    if more { "at least " } else { "" }
}

fn hunt_reason(file: Option<&FileProfile>, verdict: Verdict) -> String {
    match (verdict, file) {
        (_, Some(file)) if is_signed_by_microsoft(file) => {
            "the file carries a valid Microsoft signature, so do not block it: see how it was used"
                .to_owned()
        }
        (Verdict::Unknown, _) => {
            "Microsoft has no determination: see whether the file was here before you decide"
                .to_owned()
        }
        _ => "see on which devices the file was, and what it did".to_owned(),
    }
}

#[cfg(test)]
mod tests;
