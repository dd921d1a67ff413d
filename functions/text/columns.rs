//! Columns of a table in text: the head of a column labels its values.

use super::label::{Label, label_of};

/// The labels of the columns of a table; none for a text that is not one.
pub(super) struct Columns {
    separator: char,
    labels: Vec<Option<Label>>,
}

impl Columns {
    /// The columns of a text whose first line has the heads of a table.
    pub(super) fn of(text: &str) -> Self {
        let none = Self {
            separator: ',',
            labels: Vec::new(),
        };
        let line = text
            .lines()
            .find(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let Some(line) = line else {
            return none;
        };
        for separator in [',', ';', '\t', '|'] {
            let cells: Vec<&str> = cells(line, separator).collect();
            let labels: Vec<Option<Label>> = cells.iter().map(|cell| label_of(cell)).collect();
            if cells.len() > 1 && labels.iter().any(Option::is_some) {
                return Self { separator, labels };
            }
        }
        none
    }

    /// The label of the column that has the place `at`, on the line from `line_start`.
    pub(super) fn label(&self, text: &str, line_start: usize, at: usize) -> Option<Label> {
        if self.labels.is_empty() {
            return None;
        }
        let column = cells(&text[line_start..at], self.separator).count().max(1) - 1;
        self.labels.get(column).copied().flatten()
    }
}

/// The cells of a line; separators between quotes are part of a cell.
fn cells(line: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |c: char| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}
