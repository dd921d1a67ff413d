//! Advice for every verdict.

use super::*;
use crate::hashes::evidence::{Indicator, Indicators};

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
fn what_would_hit_the_system_itself_is_not_offered() {
    let script = FileProfile {
        is_pe_file: Some(false),
        ..file()
    };
    assert_eq!(
        actions(Some(&script), Verdict::Malicious),
        ["create_indicator", "hunt", "open_file_page"]
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
        "a name without a certificate is not a signature"
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
        (request.action.as_str(), request.generate_alert),
        ("Audit", true)
    );
    assert_eq!(request.indicator_type, "FileSha1");
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

#[test]
fn field_h07_an_indicator_is_offered_for_every_platform_with_what_it_needs() {
    for (is_pe_file, says_not_windows) in [(Some(true), false), (Some(false), true), (None, false)]
    {
        let file = FileProfile {
            is_pe_file,
            ..file()
        };
        let advice = advise(
            SHA1.parse().unwrap(),
            Some(&file),
            Verdict::Malicious,
            &setting(),
        );
        assert_eq!(advice[0].action, "create_indicator");
        let reason = &advice[0].reason;
        for platform in ["Windows", "macOS", "Linux", "file hash computation"] {
            assert!(reason.contains(platform), "{reason}");
        }
        assert_eq!(
            reason.contains("is not a PE file"),
            says_not_windows,
            "{reason}"
        );
    }
}
