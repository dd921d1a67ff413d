//! CSV that a spreadsheet opens safely.
//!
//! RFC 4180 quoting by the `csv` crate. A cell that a spreadsheet would take
//! for a formula gets an apostrophe before it, because attackers choose file
//! names, signers and threat names.
//! Source: <https://owasp.org/www-community/attacks/CSV_Injection>

/// A column: its header and how a row fills it.
pub type Column<R> = (&'static str, fn(&R) -> String);

/// Renders rows under a header line; each line ends with CR LF.
pub fn render<R>(columns: &[Column<R>], rows: &[R]) -> String {
    render_behind("", columns, rows)
}

/// Renders like [`render`], after a text such as the byte order mark.
pub fn render_behind<R>(start: &str, columns: &[Column<R>], rows: &[R]) -> String {
    // Unused capacity costs nothing, but growing the buffer costs a copy.
    let mut text = Vec::with_capacity(columns.len() * (rows.len() + 1) * 32);
    text.extend_from_slice(start.as_bytes());
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(text);
    // Writing to memory cannot fail, and every record has the same length.
    let _ = writer.write_record(columns.iter().map(|(header, _)| header));
    for row in rows {
        let _ = writer.write_record(columns.iter().map(|(_, cell)| disarm(cell(row))));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn disarm(cell: String) -> String {
    const FORMULA_STARTS: [char; 12] = [
        '=', '+', '-', '@', '\t', '\r', '\n', '\0', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ];
    match cell.strip_prefix(FORMULA_STARTS) {
        Some(_) => format!("'{cell}"),
        None => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cell_that_looks_like_a_formula_gets_an_apostrophe() {
        for start in ["=", "+", "-", "@", "\t", "\u{ff1d}"] {
            let cell = format!("{start}cmd|' /C calc'!A0");
            assert_eq!(disarm(cell.clone()), format!("'{cell}"));
        }
        assert_eq!(
            disarm("PUA:Win32/FusionCore".into()),
            "PUA:Win32/FusionCore"
        );
    }

    #[test]
    fn d02_quotes_commas_line_ends_and_nul_stay_in_their_cell() {
        let hostile = ["a\"b", "a,b", "a\r\nb", "a\nb", "a\0b", "\u{202e}gpj"];
        let rows: Vec<String> = hostile.iter().map(|text| (*text).to_owned()).collect();
        let csv = render(
            &[
                ("a", |row: &String| row.clone()),
                ("b", |_| String::from("x")),
            ],
            &rows,
        );
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let first: Vec<&str> = read.iter().map(|row| &row[0]).collect();
        assert_eq!(first, hostile);
        assert!(read.iter().all(|row| row.len() == 2));
        assert_eq!(disarm("\0=cmd".into()), "'\0=cmd");
    }

    proptest! {
        #[test]
        fn any_text_survives_a_real_csv_reader(text in "[^=+\\-@\t\r\n\0\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}].*") {
            let csv = render(&[("a", |row: &String| row.clone()), ("b", |_| "x".into())], std::slice::from_ref(&text));
            let row = csv::Reader::from_reader(csv.as_bytes()).records().next().unwrap().unwrap();
            prop_assert_eq!(&row[0], text.as_str());
        }
    }
}
