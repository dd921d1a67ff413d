//! Texts that are a hash, and the reasons why others are not.

use proptest::prelude::*;

use super::*;

const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

const SHA256: &str = "413c58c8267d2c8648d8f6384bacc2ae9c929b2b96578b6860b5087cd1bd6462";

#[track_caller]
fn accepts(text: &str, expected: &str) {
    assert_eq!(
        text.parse::<FileHash>()
            .map(|hash| hash.to_string())
            .as_deref(),
        Ok(expected)
    );
}

#[track_caller]
fn refuses(text: &str, code: &str) -> String {
    let reason = text.parse::<FileHash>().expect_err("must be refused");
    assert_eq!(reason.code(), code, "{reason}");
    reason.to_string()
}

#[test]
fn documented_forms_are_trimmed_and_lowered() {
    accepts(SHA1, SHA1);
    accepts(&SHA256.to_uppercase(), SHA256);
    accepts(&format!("  {SHA256}\r\n"), SHA256);
    accepts(&format!("\"{SHA256}\""), SHA256);
    accepts(&format!("SHA256:{SHA256}"), SHA256);
    accepts(&format!("sha-1: {SHA1}"), SHA1);
    accepts(&format!("0x{SHA1}"), SHA1);
}

#[test]
fn other_lengths_and_md5_are_refused_with_the_reason() {
    for digits in [31, 39, 41, 63, 65] {
        assert!(refuses(&"a".repeat(digits), "hash_length").contains(&digits.to_string()));
    }
    assert!(refuses(&"a".repeat(32), "hash_md5").contains("MD5 is not supported"));
    refuses(&format!("md5:{}", "a".repeat(32)), "hash_md5");
    refuses("", "hash_empty");
    refuses(" \n", "hash_empty");
    // A prefix that cannot be right does not change the digits.
    assert!(format!("sha1:{SHA256}").parse::<FileHash>().is_ok());
}

#[test]
fn look_alikes_and_separators_are_named_by_code_point() {
    assert!(refuses(&SHA1.replacen('a', "\u{430}", 1), "hash_character").contains("U+0430"));
    assert!(refuses(&SHA1.replacen('4', "\u{ff14}", 1), "hash_character").contains("U+FF14"));
    assert!(refuses(&format!("\u{202e}{SHA1}"), "hash_character").contains("U+202E"));
    assert!(refuses(&format!("{SHA1}\r\nX: y"), "hash_character").contains("U+000D"));
    refuses("../../etc/passwd", "hash_character");
    refuses("zz", "hash_character");
}

#[test]
fn unusable_input_is_echoed_visibly_and_bounded() {
    let echo = Observable::parse(&format!("\u{202e}\u{1b}[31m{}", "x".repeat(500))).text;
    assert!(
        echo.starts_with("U+202EU+001B[31mx") && echo.ends_with("..."),
        "{echo}"
    );
    assert!(echo.len() < 200);
}

proptest! {
    #[test]
    fn any_bytes_survive_display_and_parsing(bytes in any::<[u8; 32]>()) {
        let hash = FileHash::Sha256(bytes);
        prop_assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn any_text_is_a_hash_or_has_a_reason(text in any::<String>()) {
        match text.parse::<FileHash>() {
            Ok(hash) => prop_assert!([40, 64].contains(&hash.to_string().len())),
            Err(reason) => prop_assert!(reason.to_string().is_ascii()),
        }
    }
}
