//! Bodies and files of hashes.

use super::*;
use crate::hashes::{Observable, UnusableHash};

const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Observable>, UnusableRequest> {
    super::parse(content_type, body).map(|inputs| inputs.observables)
}

fn read_text(text: &str) -> Vec<Observable> {
    super::read_text(text).observables
}

fn code(body: &str) -> &'static str {
    parse("application/json", body.as_bytes())
        .expect_err("must be refused")
        .code()
}

#[test]
fn both_lists_keep_order_and_repeats() {
    for body in [
        format!(r#"{{"hashes":["{SHA1}","x","{SHA1}"]}}"#),
        format!("\u{feff}[\"{SHA1}\",\"x\",\"{SHA1}\"]"),
    ] {
        let inputs = parse("application/json", body.as_bytes()).unwrap();
        let texts: Vec<_> = inputs.into_iter().map(|item| item.text).collect();
        assert_eq!(texts, [SHA1, "x", SHA1]);
    }
    assert_eq!(parse("", b"[]"), Ok(vec![]));
}

#[test]
fn utf16_is_read_and_what_is_no_text_is_refused() {
    let utf16: Vec<u8> = format!("\u{feff}The file {SHA1}.")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(parse("text/plain", &utf16).unwrap()[0].text, SHA1);
    assert!(
        parse("text/plain", &utf16[2..]).is_err() && parse("text/plain", b"\x1f\x8b\x08").is_err()
    );
    assert_eq!(
        parse(
            "text/plain",
            format!("a \u{fffd}{SHA1}")
                .replace('\u{fffd}', "x ")
                .as_bytes()
        )
        .unwrap()
        .len(),
        1
    );
}

#[test]
fn a_key_that_is_there_twice_is_refused_at_any_depth() {
    let body = r#"{"object":{"properties":{"relatedEntities":[1],"relatedEntities":[]}}}"#;
    assert_eq!(
        parse("", body.as_bytes()),
        Err(UnusableRequest::RepeatedKey)
    );
}

#[test]
fn a_file_is_a_list_of_lines_or_an_advisory() {
    let texts = |text: &str| {
        read_text(text)
            .into_iter()
            .map(|input| input.text)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&format!("# list\r\n\r\nsha1: {SHA1}\r\nzz\r\n")),
        [SHA1, "zz"]
    );
    assert_eq!(
        texts(&format!("The file {SHA1} was seen.\nBlock it.")),
        [SHA1]
    );
    assert_eq!(texts("no hash here"), Vec::<String>::new());
}

#[test]
fn items_that_are_no_text_stay_as_invalid_items() {
    let items = parse("", br#"[null, 7, ["a"], {"a":1}, true]"#).unwrap();
    assert!(
        items
            .iter()
            .all(|item| matches!(item.hash, Err(UnusableHash::NotText(_))))
    );
    assert_eq!(items[2].text, r#"["a"]"#);
}

#[test]
fn other_bodies_are_refused_with_a_code() {
    for (body, expected) in [
        ("", "empty_body"),
        (" \n", "empty_body"),
        ("{", "unrecognised_body"),
        ("{}", "unrecognised_body"),
        (r#"{"hashes":"x"}"#, "unrecognised_body"),
        (r#"{"hashes":[],"other":1}"#, "unrecognised_body"),
        ("null", "unrecognised_body"),
        (r#"{"hashes":["a"],"hashes":["b"]}"#, "unrecognised_body"),
    ] {
        assert_eq!(code(body), expected, "{body}");
    }
}

#[test]
fn more_than_a_thousand_distinct_inputs_are_refused() {
    let hash = |number: usize| format!("{number:040x}");
    let list =
        |count: usize| serde_json::to_string(&(0..count).map(hash).collect::<Vec<_>>()).unwrap();
    assert_eq!(parse("", list(1_000).as_bytes()).unwrap().len(), 1_000);
    assert_eq!(code(&list(1_001)), "too_many_hashes");
    assert_eq!(
        code(&serde_json::to_string(&vec![1; 2_001]).unwrap()),
        "too_many_hashes"
    );
}

const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";
const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

/// The hashes to ask for, and the number of items that are not asked.
fn asked(content_type: &str, body: &str) -> (Vec<String>, usize) {
    let items = parse(content_type, body.as_bytes()).expect("is read");
    let (asked, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.hash.is_ok());
    (
        asked.into_iter().map(|item| item.text).collect(),
        others.len(),
    )
}

#[test]
fn field_h02_rows_of_other_tools_are_read_by_their_keys() {
    for body in [
        format!(r#"[{{"type":"sha256","value":"{SHA256}"}}]"#),
        format!(
            r#"[{{"Type":"Alert","Entities":"[{{\"Type\":\"filehash\",\"Value\":\"{SHA256}\"}}]"}}]"#
        ),
        format!(r#"[{{"type":"indicator","pattern":"[file:hashes.'SHA-256' = '{SHA256}']"}}]"#),
        format!(r#"[{{"kind":"row","indicator":"{SHA256}"}}]"#),
        format!(
            r#"{{"Event":{{"Attribute":[{{"type":"imphash","value":"{MD5}"}},{{"type":"sha256","value":"{SHA256}"}}]}}}}"#
        ),
        format!(r#"{{"value":[{{"sha256":"{SHA256}","deviceId":"{SHA1}"}}]}}"#),
        format!(r#"{{"{SHA256}":{{"seen":1}}}}"#),
    ] {
        assert_eq!(
            asked("application/json", &body),
            (vec![SHA256.to_owned()], 0),
            "{body}"
        );
    }
    let mixed = format!(r#"["{SHA1}",{{"type":"sha256","value":"{SHA256}"}}]"#);
    assert_eq!(asked("", &mixed).0, [SHA1, SHA256]);
    assert_eq!(
        code(r#"{"title":"nothing here","id":7}"#),
        "unrecognised_body"
    );
}

#[test]
fn field_h13_what_is_unambiguous_is_read() {
    for body in [
        format!(r#"{{"hashes":[{{"Value":"{SHA256}","Algorithm":"SHA256"}}]}}"#),
        format!(r#"{{"hashes":{{"FileHashes":[{{"Value":"{SHA256}"}}]}}}}"#),
        format!(r#"[{{"sha256":"{SHA256}"}}]"#),
        format!(
            r#"{{"evidence":[{{"entityType":"File","sha256":"{SHA256}","aadDeviceId":"{MD5}"}}]}}"#
        ),
        format!(r#"{{"$content-type":"text/plain","$content":"{}"}}"#, {
            use base64::{Engine, engine::general_purpose::STANDARD};
            STANDARD.encode(format!("file {SHA256}"))
        }),
    ] {
        assert_eq!(
            asked("application/json", &body),
            (vec![SHA256.to_owned()], 0),
            "{body}"
        );
    }
}

#[test]
fn field_h03_one_reader_serves_both_entrances() {
    for (text, wanted) in [
        (
            format!("DateAdded,IoC,Type\n9/8/2022,144.76.6.34,ip\n9/8/2022,{SHA256},sha256\n"),
            vec![SHA256],
        ),
        (format!("SHA256\n{SHA256}\n"), vec![SHA256]),
        (
            format!("SHA256,{SHA256}\nSHA1,{SHA1}\n"),
            vec![SHA256, SHA1],
        ),
        (
            format!("https://example.com/file/{SHA256}\n{SHA1}\n"),
            vec![SHA256, SHA1],
        ),
        (format!(r#"["{SHA256}", "{SHA1}"]"#), vec![SHA256, SHA1]),
        (
            format!("{SHA1}\nevil.example\n10.0.0.1\n{SHA256}\n"),
            vec![SHA1, SHA256],
        ),
        (format!("sha1: {SHA1}\r\n"), vec![SHA1]),
        (
            format!("MD5={MD5},SHA256={SHA256},IMPHASH={MD5}"),
            vec![SHA256],
        ),
    ] {
        let posted = parse("text/plain", text.as_bytes()).unwrap();
        assert_eq!(posted, read_text(&text), "{text}");
        let asked: Vec<&str> = posted
            .iter()
            .filter(|item| item.hash.is_ok())
            .map(|item| item.text.as_str())
            .collect();
        assert_eq!(asked, wanted, "{text}");
    }
}

#[test]
fn field_h06_json_is_json_whatever_the_content_type_says() {
    let incident = format!(
        r#"{{"object":{{"properties":{{"title":"{SHA1}","relatedEntities":[{{"kind":"FileHash","properties":{{"hashValue":"{SHA256}","algorithm":"SHA256AC"}}}}]}}}}}}"#
    );
    for (content_type, body) in [
        ("text/plain", incident.clone()),
        (
            "application/json",
            serde_json::to_string(&incident).unwrap(),
        ),
        ("text/plain", serde_json::to_string(&incident).unwrap()),
    ] {
        assert_eq!(asked(content_type, &body), (vec![], 1), "{body}");
    }
}

#[test]
fn field_h05_digests_of_one_line_of_sysmon_are_one_file() {
    let text = format!("Hashes: SHA1={SHA1},MD5={MD5},SHA256={SHA256},IMPHASH={MD5}\n{MD5}");
    let items = parse("text/plain", text.as_bytes()).unwrap();
    let files: Vec<Option<usize>> = items.iter().map(|item| item.file).collect();
    assert_eq!(items.len(), 3);
    assert!(
        files[0].is_some() && files.iter().all(|file| *file == files[0]),
        "{files:?}"
    );
    let two = parse(
        "text/plain",
        format!("{SHA1}, {SHA256} and {MD5}").as_bytes(),
    )
    .unwrap();
    assert!(two.iter().all(|item| item.file.is_none()));
}

#[test]
fn field_h05_values_with_a_label_of_another_kind_are_counted() {
    for (content_type, body, others) in [
        ("text/plain", format!("IMPHASH={MD5}, SHA256={SHA256}"), 1),
        (
            "text/plain",
            format!("DeviceId: {SHA1}\nAuthentihash: {SHA256}\n"),
            2,
        ),
        (
            "application/json",
            format!(
                r#"{{"sha1":"{SHA1}","DeviceId":"{}","imphash":"{MD5}"}}"#,
                "a".repeat(40)
            ),
            2,
        ),
        ("application/json", format!(r#"["{SHA1}"]"#), 0),
    ] {
        let inputs = super::parse(content_type, body.as_bytes()).unwrap();
        assert_eq!(inputs.other_values, others, "{body}");
    }
}

#[test]
fn files_of_different_lines_and_values_stay_apart() {
    let line = |digit: &str| format!("SHA1={}1,MD5={}2", digit.repeat(39), digit.repeat(31));
    for (content_type, body) in [
        ("text/plain", format!("{}\n{}", line("a"), line("b"))),
        (
            "application/json",
            format!(
                r#"[{{"Hashes":"{}"}},{{"Hashes":"{}"}}]"#,
                line("a"),
                line("b")
            ),
        ),
        (
            "application/json",
            format!(r#"{{"one":"{}","two":"{}"}}"#, line("a"), line("b")),
        ),
    ] {
        let items = parse(content_type, body.as_bytes()).unwrap();
        let files: Vec<Option<usize>> = items.iter().map(|item| item.file).collect();
        assert_eq!(files.len(), 4, "{body}");
        assert!(
            files[0] == files[1] && files[2] == files[3] && files[0] != files[2],
            "{body}: {files:?}"
        );
    }
}
