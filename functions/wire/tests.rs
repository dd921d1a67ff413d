//! Every reader with every kind of JSON value.

use super::*;

#[derive(Deserialize)]
struct Row {
    #[serde(deserialize_with = "text")]
    text: String,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(deserialize_with = "texts")]
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(deserialize_with = "list")]
    list: Vec<u8>,
}

#[derive(Deserialize)]
struct Optional {
    #[serde(default, rename = "v", deserialize_with = "optional_text")]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Flag {
    #[serde(rename = "v", deserialize_with = "flag")]
    flag: Option<bool>,
}

#[derive(Deserialize)]
struct Number {
    #[serde(rename = "v", deserialize_with = "number")]
    number: Option<u64>,
}

#[derive(Deserialize)]
struct Instant {
    #[serde(rename = "v", deserialize_with = "instant")]
    instant: Option<String>,
}

fn read<T: for<'de> Deserialize<'de>>(name: &str, value: &str) -> T {
    serde_json::from_str(&format!(r#"{{"{name}":{value}}}"#)).unwrap()
}

#[test]
fn any_value_is_a_text() {
    for (value, wanted) in [
        (r#""a""#, "a"),
        (r#""""#, ""),
        ("null", ""),
        ("true", "True"),
        ("false", "False"),
        ("7", "7"),
        ("-7", "-7"),
        ("0.5", "0.5"),
        ("[1,2]", "[1,2]"),
        (r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(read::<Row>("text", value).text, wanted, "{value}");
    }
}

#[test]
fn a_list_of_texts_has_several_forms() {
    for (value, wanted) in [
        (r#"["a","b"]"#, &["a", "b"][..]),
        (r#""[\"a\",\"b\"]""#, &["a", "b"]),
        (r#""a""#, &["a"]),
        (r#""  ""#, &[]),
        ("[1,true,null]", &["1", "True", ""]),
        ("null", &[]),
        ("7", &["7"]),
        ("true", &[]),
        (r#"{"a":1}"#, &[]),
    ] {
        assert_eq!(read::<Lists>("texts", value).texts, wanted, "{value}");
    }
}

#[test]
fn a_typed_list_leaves_out_what_does_not_fit() {
    for (value, wanted) in [
        ("[1,2]", &[1, 2][..]),
        (r#""[1,2]""#, &[1, 2]),
        (r#"[1,"x",300,null]"#, &[1]),
        ("null", &[]),
        (r#""x""#, &[]),
    ] {
        assert_eq!(read::<Typed>("list", value).list, wanted, "{value}");
    }
}

#[test]
fn a_missing_value_is_none_and_an_odd_one_is_kept_where_it_can_be() {
    for (value, wanted) in [
        (r#""a""#, Some("a")),
        (r#"" ""#, None),
        ("null", None),
        ("7", Some("7")),
        ("[1]", Some("[1]")),
    ] {
        let read: Optional = read("v", value);
        assert_eq!(read.text.as_deref(), wanted, "{value}");
    }
    let long: Optional = read("v", &format!("\"{}\"", "é".repeat(2_000)));
    assert_eq!(long.text.unwrap().chars().count(), 1_027);
    assert_eq!(serde_json::from_str::<Optional>("{}").unwrap().text, None);
}

#[test]
fn flags_numbers_and_times_are_read_as_text_too() {
    for (value, wanted) in [
        ("true", Some(true)),
        (r#"" False ""#, Some(false)),
        (r#""yes""#, None),
        ("1", None),
        ("null", None),
    ] {
        assert_eq!(read::<Flag>("v", value).flag, wanted, "{value}");
    }
    for (value, wanted) in [
        ("7", Some(7)),
        (r#"" 7 ""#, Some(7)),
        ("-7", None),
        ("0.5", None),
        (r#""many""#, None),
        ("null", None),
    ] {
        assert_eq!(read::<Number>("v", value).number, wanted, "{value}");
    }
    for (value, wanted) in [
        (r#""2026-11-23T06:00:00Z""#, Some("2026-11-23T06:00:00Z")),
        (r#""0001-01-01T00:00:00Z""#, None),
        ("null", None),
    ] {
        let read: Instant = read("v", value);
        assert_eq!(read.instant.as_deref(), wanted, "{value}");
    }
}
