//! Bodies and files of hashes.

use super::*;
use crate::hashes::UnusableHash;

const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

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
