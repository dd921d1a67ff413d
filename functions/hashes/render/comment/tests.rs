//! The content of a comment, its order, and its escapes.

use crate::hashes::{
    AdviceContext, DefenderAnswer, Evidence, FileProfile, HashKind, HashResult, Inputs, ItemError,
    ItemStatus, LookupAnswer, Observable, Source,
    evidence::{Alert, FileStats, Listed},
    payload,
    result::samples,
};

use super::MAX_COMMENT;

const MALWARE: &str = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";
const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

fn of_defender(hash: &str, profile: Option<FileProfile>, as_of: &str) -> HashResult {
    let answer = DefenderAnswer {
        profile,
        as_of: as_of.to_owned(),
        cached: false,
        stale: false,
    };
    let setting = AdviceContext {
        portal: "https://security.microsoft.com".to_owned(),
        indicator_expires: String::new(),
    };
    HashResult::verified(hash.parse().unwrap(), answer, &setting)
}

fn profile(determination: &str, threat: &str) -> Option<FileProfile> {
    Some(FileProfile {
        determination_type: Some(determination.to_owned()),
        determination_value: Some(threat.to_owned()),
        ..FileProfile::default()
    })
}

fn throttled(hash: &str) -> HashResult {
    let error = ItemError {
        code: "upstream_throttled".into(),
        detail: "ask again later".to_owned(),
        retry_after_seconds: None,
        cause: String::new(),
    };
    HashResult::unanswered(hash, HashKind::Sha1, ItemStatus::Throttled, error)
}

fn answer(results: Vec<HashResult>) -> LookupAnswer {
    LookupAnswer::new("2026-11-23T10:00:00Z".to_owned(), results)
}

fn an_incident() -> LookupAnswer {
    let evidence = Evidence {
        stats: Some(Source::new(Ok(FileStats::default()))),
        alerts: Some(Source::new(Ok(Listed::new(vec![Alert::default(); 2])))),
        ..Evidence::default()
    };
    let setting = AdviceContext {
        portal: String::new(),
        indicator_expires: String::new(),
    };
    let malware = HashResult {
        file_name: Some("invoice.pdf.exe".to_owned()),
        ..of_defender(
            MALWARE,
            profile("Malware", "Trojan:Win32/X"),
            "2026-11-23T09:58:12Z",
        )
    };
    let signed = FileProfile {
        signer: Some("Microsoft Corporation".to_owned()),
        is_valid_certificate: Some(true),
        ..profile("Clean", "").unwrap()
    };
    answer(vec![
        of_defender(SHA1, Some(signed), "2026-11-23T07:12:00Z"),
        throttled(&"c".repeat(40)),
        malware.with_evidence(evidence, &setting),
        of_defender(&"d".repeat(64), None, "2026-11-23T09:59:00Z"),
    ])
}

#[test]
fn field_h09_a_comment_says_the_verdict_first_and_shows_the_worst_file_first() {
    insta::assert_snapshot!(an_incident().to_text(), @r##"
    1 of 4 files is malicious, 1 NOT checked.
    Checked 3 of 4 files: 1 malicious, 1 unknown, 1 clean. 2026-11-23 07:12 UTC.

    Malicious 97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe invoice.pdf.exe
      Microsoft determined malware: Trojan:Win32/X
      In your tenant: 2 alerts
      Do next: Block the file
      https://security.microsoft.com/file/97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe/overview

    NOT CHECKED cccccccccccccccccccccccccccccccccccccccc
      Ask again later

    Unknown dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
      Microsoft Defender has no record of a file with this hash yet
      Do next: Hunt for the file

    Clean 4388963aaa83afe2042a46a3c017ad50bdcdafb3
      No detection by Microsoft; not an approval
      Signed by Microsoft Corporation: do not block
      https://security.microsoft.com/file/4388963aaa83afe2042a46a3c017ad50bdcdafb3/overview

    Clean means "no detection by Microsoft", not an approval.
    "##);
    insta::assert_snapshot!(an_incident().to_markdown(), @r##"
    **1 of 4 files is malicious, 1 NOT checked.**

    Checked 3 of 4 files: 1 malicious, 1 unknown, 1 clean. 2026-11-23 07:12 UTC.

    - **Malicious** [97bf5e1a903a…](https://security.microsoft.com/file/97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe/overview) invoice.pdf.exe\
      Microsoft determined malware: Trojan:Win32/X\
      In your tenant: 2 alerts\
      Do next: Block the file
    - **NOT CHECKED** cccccccccccccccccccccccccccccccccccccccc\
      Ask again later
    - **Unknown** dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\
      Microsoft Defender has no record of a file with this hash yet\
      Do next: Hunt for the file
    - **Clean** [4388963aaa83…](https://security.microsoft.com/file/4388963aaa83afe2042a46a3c017ad50bdcdafb3/overview)\
      No detection by Microsoft; not an approval\
      Signed by Microsoft Corporation: do not block

    Clean means "no detection by Microsoft", not an approval.
    "##);
    insta::assert_snapshot!(an_incident().to_html(), @r##"<p><b>1 of 4 files is malicious, 1 NOT checked.</b><br>Checked 3 of 4 files: 1 malicious, 1 unknown, 1 clean. 2026-11-23 07:12 UTC.</p><ul style="overflow-wrap:anywhere"><li><b>Malicious</b> <a href="https://security.microsoft.com/file/97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe/overview">97bf5e1a903a…</a> invoice.pdf.exe<br>Microsoft determined malware: Trojan:Win32/X<br>In your tenant: 2 alerts<br><i>Do next:</i> Block the file</li><li><b>NOT CHECKED</b> cccccccccccccccccccccccccccccccccccccccc<br>Ask again later</li><li><b>Unknown</b> dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd<br>Microsoft Defender has no record of a file with this hash yet<br><i>Do next:</i> Hunt for the file</li><li><b>Clean</b> <a href="https://security.microsoft.com/file/4388963aaa83afe2042a46a3c017ad50bdcdafb3/overview">4388963aaa83…</a><br>No detection by Microsoft; not an approval<br>Signed by Microsoft Corporation: do not block</li></ul><p>Clean means &quot;no detection by Microsoft&quot;, not an approval.</p>"##);
}

#[test]
fn field_h04_each_unchecked_file_has_its_own_reason_and_an_md5_none() {
    let md5 = "9202651c295369eb01cc7a10cd59adff";
    let invalid = |text: &str| HashResult::invalid(&Observable::parse(text)).unwrap();
    let file = FileProfile {
        md5: Some(md5.to_owned()),
        sha1: Some(SHA1.to_owned()),
        sha256: Some(MALWARE.to_owned()),
        ..profile("Malware", "").unwrap()
    };
    let of_file = |hash: &str| of_defender(hash, Some(file.clone()), "2026-11-23T09:58:12Z");
    let one = answer(vec![invalid(md5), of_file(SHA1), of_file(MALWARE)]);
    assert_eq!(one.overview().lead(), "1 of 1 file is malicious.");
    assert_eq!(one.overview().not_checked(), Vec::<String>::new());
    let stat = one.to_stat();
    assert_eq!((stat.analyzed_entities, stat.not_checked_count), (1, 0));
    assert_eq!(stat.scoring_data.len(), 1);
    let more = answer(vec![
        of_file(SHA1),
        invalid(&"a".repeat(32)),
        throttled(&"c".repeat(40)),
        throttled(&"d".repeat(40)),
    ]);
    let sentences = more.overview().not_checked();
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(sentences[0].starts_with("1 of 4 files NOT checked: ") && sentences[0].contains("MD5"));
    assert_eq!(sentences[1], "2 of 4 files NOT checked: ask again later");
    let html = more.to_html();
    assert_eq!(html.matches("NOT CHECKED").count(), 3, "{html}");
}

#[test]
fn no_lead_is_fine_while_a_file_was_not_checked() {
    let clean = || of_defender(SHA1, profile("Clean", ""), "2026-11-23T09:58:12Z");
    let stale = HashResult {
        stale: true,
        ..clean()
    };
    for (results, lead, facts) in [
        (
            vec![clean()],
            "No file is malicious or suspicious.",
            Some("Checked 1 file: 1 clean. 2026-11-23 09:58 UTC."),
        ),
        (
            vec![throttled(&"c".repeat(40))],
            "NOT checked: 1 file.",
            None,
        ),
        (
            vec![stale],
            "NOT checked: 1 file.",
            Some("Checked 0 of 1 file. 2026-11-23 09:58 UTC."),
        ),
        (
            vec![clean(), throttled(&"c".repeat(40))],
            "1 of 2 files was NOT checked. No other file is malicious or suspicious.",
            Some("Checked 1 of 2 files: 1 clean. 2026-11-23 09:58 UTC."),
        ),
    ] {
        let answer = answer(results);
        assert_eq!(
            (
                answer.overview().lead().as_str(),
                answer.overview().facts().as_deref()
            ),
            (lead, facts)
        );
    }
}

#[test]
fn field_h08_an_incident_without_hashes_says_so_and_names_its_files() {
    let incident = serde_json::json!({ "object": { "properties": { "relatedEntities": [
        { "kind": "File", "properties": { "fileName": "a<b>.exe" } },
        { "kind": "Host", "properties": { "hostName": "pc-1" } },
    ] } } });
    let inputs = payload::parse("application/json", incident.to_string().as_bytes()).unwrap();
    let html = answer(vec![]).with_sender(&inputs).to_html();
    assert_eq!(
        html,
        "<p><b>This incident has no SHA-1 or SHA-256; nothing was checked.</b>\
         <br>1 file has no hash and cannot be checked: a&lt;b&gt;.exe</p>"
    );
    let text = answer(vec![]).with_sender(&Inputs::default()).to_text();
    assert_eq!(
        text,
        "This input has no SHA-1 or SHA-256; nothing was checked.\n\n"
    );
}

#[test]
fn field_h10_the_time_is_that_of_the_oldest_answer() {
    let facts = an_incident().overview().facts().unwrap();
    assert!(facts.ends_with("2026-11-23 07:12 UTC."), "{facts}");
}

#[test]
fn d05_a_comment_is_escaped_and_stays_within_the_limit() {
    let hostile = "<img src=x onerror=alert(1)>";
    let results = (0..1_000).map(|number| HashResult {
        file_name: Some(format!("{hostile}{}", "x".repeat(300))),
        hash: format!("{number:040x}"),
        ..samples::verified("Malware", hostile)
    });
    let answer = answer(results.collect());
    let html = answer.to_html();
    assert!(!html.contains("<img") && html.contains("&lt;img"));
    for text in [html.clone(), answer.to_markdown(), answer.to_text()] {
        assert!(
            text.chars().count() <= MAX_COMMENT,
            "{}",
            text.chars().count()
        );
        assert!(
            text.contains("of 1000 files are not listed here"),
            "{}",
            &text[text.len() - 200..]
        );
    }
    assert!(html.matches("<li>").count() > 30 && html.contains("</ul>"));
}
