//! Texts of the field with one hash each, and generated ones.

use proptest::prelude::*;

use super::*;

const SHA1: &str = "ff2f511009b2813af9d12c6103206828560869db";
const SHA256: &str = "594b9b42a2d7ae71ef08795fca19d027135d86e82bc0d354d18bfd766ec2424c";
const OTHER: &str = "a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb";
const MD5: &str = "9202651c295369eb01cc7a10cd59adff";

/// The complete hashes, and the number of broken ones.
fn read(text: &str) -> (Vec<String>, usize) {
    let found = hash_like(text).hashes;
    let (complete, broken): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|like| like.likeness == Likeness::Complete);
    (
        complete.into_iter().map(|like| like.text).collect(),
        broken.len(),
    )
}

#[test]
fn field_h01_a_hash_is_found_however_it_is_written() {
    let upper = SHA256.to_uppercase();
    let bytes: Vec<&str> = (0..32).map(|at| &SHA256[at * 2..at * 2 + 2]).collect();
    for text in [
        format!("The file {SHA256}."),
        format!("({upper})"),
        format!("sha256:{SHA256}, SHA-256={SHA256}"),
        format!("| ss2.stubbin | {SHA256} |"),
        format!("<td class=\"x\">{SHA256}</td>"),
        format!("<b>{}</b>{}", &SHA256[..10], &SHA256[10..]),
        format!("{}&#8203;{}", &SHA256[..10], &SHA256[10..]),
        format!(
            "{}\u{200b}{}\u{ad}{}",
            &SHA256[..10],
            &SHA256[10..20],
            &SHA256[20..]
        ),
        format!("a\u{a0}{SHA256}\u{a0}b&nbsp;c"),
        format!("hxxps://evil[.]example/{SHA256}/x"),
        format!("Type data\nSHA256{SHA256}\n"),
        format!("1 < 2 and {SHA256} > 1"),
        format!("a <b and {SHA256}, <i>x</i>"),
        format!("a <b {} {SHA256} >", "x ".repeat(2_000)),
        format!("值为{SHA256}。"),
        format!("Хэш{SHA256}é"),
        format!("{SHA256}\u{b2}"),
        format!("file%3A{SHA256}%20x"),
        format!("sha256=3D{SHA256}=0A"),
        format!("\\n{SHA256}\\tx \\u003cb\\u003e"),
        format!("today: {}=\n{} x=3D1", &SHA256[..45], &SHA256[45..]),
        format!(
            "locker.exe  {}\n            {}\nother",
            &SHA256[..40],
            &SHA256[40..]
        ),
        format!("> {}\r\n> {}\r\n", &SHA256[..24], &SHA256[24..]),
        format!(
            "x {}\n{}\n{}\n{}",
            &SHA256[..10],
            &SHA256[10..30],
            &SHA256[30..50],
            &SHA256[50..]
        ),
        format!("SHA256 hash of b.exe:\n{}\nCertUtil", bytes.join(" ")),
        bytes.join(":"),
        SHA256
            .chars()
            .map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap())
            .collect(),
        format!("C:\\new\\{SHA256}.exe"),
    ] {
        assert_eq!(read(&text), (vec![SHA256.to_owned()], 0), "{text}");
    }
}

#[test]
fn field_h01_what_almost_fits_is_reported_and_no_part_is_asked() {
    for text in [
        format!("{SHA256}0"),
        format!("g{SHA256}"),
        format!("{SHA256}{SHA256}"),
        SHA256[1..].to_owned(),
        SHA1[..39].to_owned(),
        format!("{} {}", &SHA256[..30], &SHA256[30..]),
        format!("{}\n\n{}", &SHA256[..33], &SHA256[33..]),
        format!("{}о{}", &SHA1[..20], &SHA1[21..]),
    ] {
        let (complete, broken) = read(&text);
        assert_eq!(complete, Vec::<String>::new(), "{text}");
        assert!(broken > 0, "{text}");
    }
    for text in [
        "no hash here, <script",
        "decade facade 12345 cafe",
        "550e8400-e29b-41d4",
    ] {
        assert_eq!(read(text), (vec![], 0), "{text}");
    }
}

#[test]
fn two_hashes_on_two_lines_are_two() {
    for (one, other) in [(SHA256, OTHER), (SHA1, SHA256), (MD5, MD5), (SHA1, MD5)] {
        let (complete, broken) = read(&format!("{one}\n{other}\n"));
        let mut wanted = vec![one.to_owned(), other.to_owned()];
        wanted.dedup();
        assert_eq!((complete, broken), (wanted, 0));
    }
    // A checksum at the end of a row, and an MD5 at the start of the next one.
    let rows = format!("{MD5},a,deadbeef\n{MD5},b,cafebabe\n");
    assert_eq!(read(&rows), (vec![MD5.to_owned()], 0));
}

#[test]
fn field_h05_other_digests_and_ids_are_left_out() {
    for text in [
        format!("SHA256={SHA256},IMPHASH={MD5}"),
        format!("Authentihash: {OTHER}\nSHA-256: {SHA256}"),
        format!("pe256 {OTHER} sha256 {SHA256}"),
        format!("{{\"machineId\": \"{SHA1}\", \"sha256\": \"{SHA256}\"}}"),
        format!("Certificate thumbprint: {SHA1}\n{SHA256}"),
        format!("<td>IMPHASH</td><td>{MD5}</td><td>SHA256</td><td>{SHA256}</td>"),
        format!("name,imphash,sha256\na.exe,{MD5},{SHA256}\n"),
        format!("SHA256;DeviceId\n{SHA256};{SHA1}\n"),
        format!("IMPHASH{MD5} SHA256{SHA256}"),
    ] {
        assert_eq!(read(&text), (vec![SHA256.to_owned()], 0), "{text}");
    }
    // What is there twice, once under another label, is a file.
    let twice = format!("imphash: {MD5}\nmd5: {MD5}");
    assert_eq!(read(&twice), (vec![MD5.to_owned()], 0));
    let authenticode = hash_like(&format!("SHA256AC: {SHA256}")).hashes;
    assert_eq!(authenticode[0].likeness, Likeness::Authenticode);
}

#[test]
fn the_order_is_that_of_the_text() {
    let text = format!("<span>{SHA256}</span><span>{SHA1}</span> MD5{MD5} {SHA1}");
    assert_eq!(read(&text).0, [SHA256, SHA1, MD5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        hash_like(&text);
    }

    #[test]
    fn a_hash_between_blanks_is_found_in_any_text(before in "[^<>&=%\\\\]*", after in "[^<>&]*") {
        let found = read(&format!("{before} {SHA256} {after}")).0;
        prop_assert!(found.contains(&SHA256.to_owned()), "{found:?}");
    }

    #[test]
    fn a_wrapped_hash_is_never_asked_in_part(at in 1..63_usize, blanks in 0..4_usize) {
        let text = format!("x {}\n{}{} y", &SHA256[..at], " ".repeat(blanks), &SHA256[at..]);
        let (complete, broken) = read(&text);
        let asked: Vec<&String> = complete.iter().filter(|hash| hash.len() != 32).collect();
        prop_assert!(asked.iter().all(|hash| *hash == SHA256), "{complete:?}");
        prop_assert!(!complete.is_empty() || broken > 0);
    }
}
