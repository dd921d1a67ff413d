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

/// Characters that start a formula, the wide forms included.
const FORMULA_STARTS: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Characters that some reader takes for the end of a cell.
const SEPARATORS: [char; 7] = [';', ',', '|', '\t', '\r', '\n', '\0'];

/// A cell with an apostrophe before everything that a reader could take for a formula: at
/// its start, and behind every separator, because a reader may use another one.
fn disarm(cell: String) -> String {
    let starts_formula = cell.starts_with(FORMULA_STARTS);
    if !starts_formula && !cell.contains(SEPARATORS) && !cell.starts_with([' ', '"', '\'']) {
        return cell;
    }
    let mut safe = String::with_capacity(cell.len() + 8);
    // A separator at the start ends a cell too, so the rest begins another one.
    if cell.starts_with(['\t', '\r', '\n', '\0']) {
        safe.push('\'');
    }
    let mut is_start = true;
    for c in cell.chars() {
        if is_start && FORMULA_STARTS.contains(&c) {
            safe.push('\'');
        }
        // Readers skip blanks and quotes before a formula.
        is_start = SEPARATORS.contains(&c) || is_start && (c.is_whitespace() || c == '"');
        safe.push(c);
    }
    safe
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
        assert_eq!(disarm("\0=cmd".into()), "'\0'=cmd");
    }

    proptest! {
        #[test]
        fn any_text_survives_a_real_csv_reader(text in "[^=+\\-@\t\r\n\0\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20};,| \"]([^=+\\-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}]|[a-z][=+\\-@])*") {
            let csv = render(&[("a", |row: &String| row.clone()), ("b", |_| "x".into())], std::slice::from_ref(&text));
            let row = csv::Reader::from_reader(csv.as_bytes()).records().next().unwrap().unwrap();
            prop_assert_eq!(&row[0], text.as_str());
        }

        #[test]
        fn field_s06_no_part_of_a_cell_starts_a_formula_whatever_separates(
            text in "([=+@;,|\"' a\t\n\r\0\u{ff1d}\u{ff0b}\u{ff20}-]|\\PC){0,24}",
        ) {
            let safe = disarm(text.clone());
            for separator in SEPARATORS {
                for part in safe.split(separator) {
                    let part = part.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || SEPARATORS.contains(&c));
                    prop_assert!(!part.starts_with(FORMULA_STARTS), "{safe:?}");
                }
            }
            let without = |text: &str| text.replace('\'', "");
            prop_assert_eq!(without(&safe), without(&text), "nothing but apostrophes is added");
        }
    }
}
