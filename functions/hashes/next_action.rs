//! What to do next about a file: advice with a reason, never an action taken.
//!
//! Source of how file Indicators behave:
//! <https://learn.microsoft.com/defender-endpoint/indicator-file>

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Evidence, FileHash, FileProfile, Verdict,
    evidence::{Indicator, Listed, Source},
};

/// One piece of advice. JSON `nextActions[]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextAction {
    /// `create_indicator`, `review_indicator`, `hunt`, `review_alerts`, `isolate_or_scan_devices` or
    /// `open_file_page`.
    pub action: Cow<'static, str>,
    /// What to do, in a few words.
    pub title: Cow<'static, str>,
    /// Why.
    pub reason: String,
    /// Where a person does it in the Defender portal; null for none.
    pub portal_url: Option<String>,
    /// A ready advanced-hunting query; null for none.
    pub kql: Option<String>,
    /// The ready body of `POST /api/indicators` of the Defender API; null for none.
    #[schema(value_type = Option<Object>)]
    pub request: Option<Value>,
}

/// What advice needs to know beside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdviceContext {
    /// Base URL of the Defender portal of this cloud, without a slash at its end.
    pub portal: String,
    /// When an Indicator that is created now should expire, RFC 3339.
    pub indicator_expires: String,
}

/// Advice for a file that was answered; `file` is `None` when Microsoft has
/// never seen it. The most urgent advice first.
pub fn advise(
    hash: FileHash,
    file: Option<&FileProfile>,
    verdict: Verdict,
    setting: &AdviceContext,
) -> Vec<NextAction> {
    let mut advice = Vec::new();
    let page = format!("{}/file/{}/overview", setting.portal, hash);
    if verdict >= Verdict::Suspicious && may_be_enforced(file) {
        advice.push(NextAction {
            action: "create_indicator".into(),
            title: if verdict == Verdict::Malicious {
                "Block the file"
            } else {
                "Watch the file"
            }
            .into(),
            reason: indicator_reason(verdict),
            portal_url: Some(page.clone()),
            kql: None,
            request: Some(indicator(hash, file, verdict, setting)),
        });
    }
    if verdict >= Verdict::Unknown {
        advice.push(NextAction {
            action: "hunt".into(),
            title: "Hunt for the file".into(),
            reason: hunt_reason(file, verdict),
            portal_url: Some(format!("{}/v2/advanced-hunting", setting.portal)),
            kql: Some(sightings(&known(hash, file))),
            request: None,
        });
    }
    if file.is_some() {
        advice.push(NextAction {
            action: "open_file_page".into(),
            title: "Open the file in the Defender portal".into(),
            reason: "it shows the devices and alerts of this tenant".to_owned(),
            portal_url: Some(page),
            kql: None,
            request: None,
        });
    }
    advice
}

/// Adds the advice that follows from what the tenant knows of the file. Where
/// it has an Indicator already, that one is to be reviewed: creating another
/// would overwrite it.
pub fn advise_on_evidence(
    advice: &mut Vec<NextAction>,
    hash: &str,
    verdict: Verdict,
    evidence: &Evidence,
    setting: &AdviceContext,
) {
    let page = |action: &'static str, title: &'static str, reason| NextAction {
        action: action.into(),
        title: title.into(),
        reason,
        portal_url: Some(format!("{}/file/{hash}/overview", setting.portal)),
        kql: None,
        request: None,
    };
    if let Some(reason) = indicator_to_review(verdict, evidence) {
        advice.retain(|next| next.action != "create_indicator");
        advice.insert(0, page("review_indicator", "Review the Indicator", reason));
    }
    let (alerts, devices) = (evidence.alert_count(), evidence.device_count());
    let mut more = Vec::new();
    if alerts > 0 {
        let reason = format!(
            "{alerts}{} alerts of this tenant involve the file",
            or_more(evidence.alerts.as_ref())
        );
        more.push(page("review_alerts", "Review the alerts", reason));
    }
    if devices > 0 && verdict >= Verdict::Suspicious {
        let title = if verdict == Verdict::Malicious {
            "Isolate or scan the devices"
        } else {
            "Scan the devices"
        };
        let reason = format!(
            "{devices}{} devices of this tenant saw the file",
            or_more(evidence.devices.as_ref())
        );
        more.push(page("isolate_or_scan_devices", title, reason));
    }
    let at = advice
        .iter()
        .position(|next| next.action == "open_file_page")
        .unwrap_or(advice.len());
    advice.splice(at..at, more);
}

fn or_more<T>(source: Option<&Source<Listed<T>>>) -> &'static str {
    let more = source
        .and_then(|source| source.data.as_ref())
        .is_some_and(|listed| listed.more);
    if more { " or more" } else { "" }
}

/// Why a person should look at the Indicators that there are; `None` where
/// there are none, or where they agree with the verdict.
fn indicator_to_review(verdict: Verdict, evidence: &Evidence) -> Option<String> {
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
    let told: Vec<String> = found.items.iter().map(describe).collect();
    let told = told.join(", ");
    match verdict {
        Verdict::Malicious | Verdict::Suspicious if has("allow") => Some(format!(
            "an Indicator of this tenant allows the file, so Defender does not stop it where that applies ({told})"
        )),
        Verdict::Malicious | Verdict::Suspicious => Some(format!(
            "this tenant has an Indicator for the file ({told}); a new one would overwrite it"
        )),
        Verdict::Clean if has("block") => Some(format!(
            "an Indicator of this tenant stops the file ({told}), on which Microsoft has no detection"
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

/// Defender enforces Indicators on Windows executables alone, and one on a file
/// that Microsoft signed would hit the system itself.
fn may_be_enforced(file: Option<&FileProfile>) -> bool {
    let is_no_executable = file.is_some_and(|file| file.is_pe_file == Some(false));
    !is_no_executable && !file.is_some_and(is_signed_by_microsoft)
}

fn is_signed_by_microsoft(file: &FileProfile) -> bool {
    let signer = file
        .signer
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    file.is_valid_certificate == Some(true)
        && (signer == "microsoft corporation" || signer.starts_with("microsoft windows"))
}

fn indicator_reason(verdict: Verdict) -> String {
    let why = match verdict {
        Verdict::Malicious => "Microsoft determined malware",
        _ => "the file is suspicious; Audit raises alerts without blocking",
    };
    format!(
        "{why}. An accepted Indicator takes effect within 15 minutes to 2 hours, on devices with Defender Antivirus in active \
         mode, and not under an antivirus exclusion; it overwrites one that is there for the same hash"
    )
}

fn hunt_reason(file: Option<&FileProfile>, verdict: Verdict) -> String {
    match (verdict, file) {
        (_, Some(file)) if file.is_pe_file == Some(false) => {
            "the file is no Windows executable, so an Indicator would not be enforced: see where it was".to_owned()
        }
        (_, Some(file)) if is_signed_by_microsoft(file) => {
            "the file carries a valid Microsoft signature, so do not block it: see how it was used".to_owned()
        }
        (Verdict::Unknown, _) => "Microsoft has no determination: see whether the file was here before you decide".to_owned(),
        _ => "see on which devices the file was, and what it did".to_owned(),
    }
}

/// The body of `POST /api/indicators`. SHA-256 where it is known: it wins over
/// SHA-1 where both are listed.
fn indicator(
    hash: FileHash,
    file: Option<&FileProfile>,
    verdict: Verdict,
    setting: &AdviceContext,
) -> Value {
    let sha256 = file
        .and_then(|file| file.sha256.as_deref())
        .and_then(|text| text.parse().ok());
    let value = match (hash, sha256) {
        (FileHash::Sha1(_), Some(sha256 @ FileHash::Sha256(_))) => sha256,
        _ => hash,
    };
    let (kind, malicious) = (indicator_type(value), verdict == Verdict::Malicious);
    let threat = file
        .and_then(|file| file.determination_value.as_deref())
        .unwrap_or(verdict.as_str());
    json!({
        "indicatorValue": value.to_string(),
        "indicatorType": kind,
        "action": if malicious { "Block" } else { "Audit" },
        "title": format!("{} file {}", verdict.as_str(), &value.to_string()[..12]),
        "description": format!("{threat}, by Defender Functions"),
        "severity": if malicious { "High" } else { "Medium" },
        "generateAlert": true,
        "expirationTime": setting.indicator_expires,
    })
}

fn indicator_type(hash: FileHash) -> &'static str {
    match hash {
        FileHash::Sha1(_) => "FileSha1",
        FileHash::Sha256(_) => "FileSha256",
    }
}

/// Both hashes of a file, as far as they are known: some tables have SHA-1 alone.
fn known(hash: FileHash, file: Option<&FileProfile>) -> Vec<FileHash> {
    let of_file = file.map(|file| file.known_hashes(hash)).unwrap_or_default();
    let mut hashes = if of_file.is_empty() {
        vec![hash]
    } else {
        of_file
    };
    hashes.sort();
    hashes
}

/// Where a file was in the last 30 days. A [`FileHash`] is digits alone, so
/// nothing can break out of the text.
fn sightings(hashes: &[FileHash]) -> String {
    let list = hashes
        .iter()
        .map(|hash| format!("\"{hash}\""))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "let hashes = dynamic([{list}]);\n\
         union isfuzzy=true DeviceFileEvents, DeviceProcessEvents, DeviceImageLoadEvents\n\
         | where Timestamp > ago(30d)\n\
         | where SHA1 in~ (hashes) or SHA256 in~ (hashes) or InitiatingProcessSHA1 in~ (hashes) or InitiatingProcessSHA256 in~ (hashes)\n\
         | summarize FirstSeen=min(Timestamp), LastSeen=max(Timestamp), Events=count(), Actions=make_set(ActionType, 10), \
         Paths=make_set(FolderPath, 10) by DeviceId, DeviceName, FileName, SHA1, SHA256\n\
         | top 100 by LastSeen desc"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::evidence::Indicators;

    const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";
    const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";

    fn setting() -> AdviceContext {
        AdviceContext {
            portal: "https://security.microsoft.com".into(),
            indicator_expires: "2027-02-21T10:00:00Z".into(),
        }
    }

    fn file() -> FileProfile {
        FileProfile {
            sha256: Some(SHA256.into()),
            is_pe_file: Some(true),
            ..FileProfile::default()
        }
    }

    fn actions(file: Option<&FileProfile>, verdict: Verdict) -> Vec<&'static str> {
        advise(SHA1.parse().unwrap(), file, verdict, &setting())
            .iter()
            .map(|advice| match &advice.action {
                Cow::Borrowed(action) => *action,
                Cow::Owned(action) => panic!("{action}"),
            })
            .collect()
    }

    #[test]
    fn every_verdict_has_its_advice() {
        assert_eq!(
            actions(Some(&file()), Verdict::Malicious),
            ["create_indicator", "hunt", "open_file_page"]
        );
        assert_eq!(
            actions(Some(&file()), Verdict::Suspicious),
            ["create_indicator", "hunt", "open_file_page"]
        );
        assert_eq!(
            actions(Some(&file()), Verdict::Unknown),
            ["hunt", "open_file_page"]
        );
        assert_eq!(actions(None, Verdict::Unknown), ["hunt"]);
        assert_eq!(actions(Some(&file()), Verdict::Clean), ["open_file_page"]);
    }

    #[test]
    fn what_defender_would_not_enforce_or_should_not_is_not_offered() {
        let script = FileProfile {
            is_pe_file: Some(false),
            ..file()
        };
        assert_eq!(
            actions(Some(&script), Verdict::Malicious),
            ["hunt", "open_file_page"]
        );
        let signed = FileProfile {
            signer: Some("Microsoft Corporation".into()),
            is_valid_certificate: Some(true),
            ..file()
        };
        assert_eq!(
            actions(Some(&signed), Verdict::Malicious),
            ["hunt", "open_file_page"]
        );
        let claimed = FileProfile {
            is_valid_certificate: Some(false),
            ..signed
        };
        assert_eq!(
            actions(Some(&claimed), Verdict::Malicious)[0],
            "create_indicator",
            "a name alone is no signature"
        );
    }

    #[test]
    fn the_request_is_a_ready_indicator_for_the_stronger_hash() {
        let advice = advise(
            SHA1.parse().unwrap(),
            Some(&file()),
            Verdict::Malicious,
            &setting(),
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&advice[0].request).unwrap(), @r#"
        {
          "indicatorValue": "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c",
          "indicatorType": "FileSha256",
          "action": "Block",
          "title": "Malicious file 594b9b42a2d7",
          "description": "Malicious, by Defender Functions",
          "severity": "High",
          "generateAlert": true,
          "expirationTime": "2027-02-21T10:00:00Z"
        }
        "#);
        let audit = advise(SHA1.parse().unwrap(), None, Verdict::Suspicious, &setting());
        let request = audit[0].request.clone().unwrap();
        assert_eq!(
            (&request["action"], &request["generateAlert"]),
            (&json!("Audit"), &json!(true))
        );
        assert_eq!(request["indicatorType"], "FileSha1");
    }

    fn with_indicator(action: &str, verdict: Verdict) -> Vec<NextAction> {
        let indicator = Indicator {
            action: Some(action.to_owned()),
            ..Indicator::default()
        };
        let evidence = Evidence {
            indicators: Some(Source::new(Ok(Indicators::new(vec![indicator], false)))),
            ..Evidence::default()
        };
        let mut advice = advise(SHA1.parse().unwrap(), Some(&file()), verdict, &setting());
        advise_on_evidence(&mut advice, SHA1, verdict, &evidence, &setting());
        advice
    }

    #[test]
    fn an_indicator_that_is_there_is_reviewed_instead_of_overwritten() {
        for (action, verdict, first, why) in [
            ("Allowed", Verdict::Malicious, "review_indicator", "allows"),
            ("block", Verdict::Malicious, "review_indicator", "(block)"),
            (
                "Block",
                Verdict::Suspicious,
                "review_indicator",
                "overwrite",
            ),
            (
                "BlockAndRemediate",
                Verdict::Clean,
                "review_indicator",
                "no detection",
            ),
            ("Allowed", Verdict::Clean, "open_file_page", ""),
            ("Block", Verdict::Unknown, "hunt", ""),
        ] {
            let advice = with_indicator(action, verdict);
            assert_eq!(advice[0].action, first, "{action} {verdict:?}");
            assert!(advice[0].reason.contains(why), "{}", advice[0].reason);
            assert!(advice.iter().all(|next| next.action != "create_indicator"));
        }
    }

    #[test]
    fn texts_promise_no_block() {
        for verdict in [Verdict::Malicious, Verdict::Suspicious] {
            let text = serde_json::to_string(&advise(
                SHA1.parse().unwrap(),
                Some(&file()),
                verdict,
                &setting(),
            ))
            .unwrap();
            assert!(
                !text.contains("blocked") && text.contains("accepted"),
                "{text}"
            );
        }
    }
}
