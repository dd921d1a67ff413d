//! Lenient reading of evidence.

use super::*;

#[test]
fn stats_are_read_under_both_names_as_number_or_text() {
    for (fields, count) in [
        (r#""organizationPrevalence":14850"#, Some(14_850)),
        (r#""orgPrevalence":"0""#, Some(0)),
        (r#""orgPrevalence":"3","organizationPrevalence":3"#, Some(3)),
        (
            r#""orgPrevalence":"7","organizationPrevalence":null"#,
            Some(7),
        ),
        (r#""orgFirstSeen":null"#, None),
    ] {
        let answer =
            format!(r#"{{"sha1":"x",{fields},"topFileNames":["a.exe"],"globallyPrevalence":1}}"#);
        assert_eq!(
            FileStats::read(answer.as_bytes())
                .unwrap()
                .organization_prevalence,
            count,
            "{fields}"
        );
    }
    assert!(
        FileStats::read(b"[]").is_err() && FileStats::read(br#"{"error":{"code":"x"}}"#).is_err()
    );
    assert_eq!(
        FileStats::read(br#"{"sha1":"x","topFileNames":null}"#)
            .unwrap()
            .top_file_names,
        [""; 0]
    );
}

#[test]
fn a_list_counts_all_and_shows_some() {
    let many = format!(
        r#"{{"value":[{}]}}"#,
        vec![r#"{"id":"a","severity":"High"}"#; 50].join(",")
    );
    let alerts: Listed<Alert> = read_list(many.as_bytes()).unwrap();
    assert_eq!(
        (alerts.count, alerts.items.map(|items| items.len())),
        (50, Some(MAX_SHOWN))
    );
    let none: Listed<Device> = read_list(br#"{"value":[]}"#).unwrap();
    assert_eq!(none.count, 0);
    assert!(read_list::<Device>(b"{}").is_err());
    let paged: Listed<Device> =
        read_list(br#"{"value":[{},null],"@odata.nextLink":"https://x"}"#).unwrap();
    assert_eq!((paged.count, paged.more), (1, true));
}
