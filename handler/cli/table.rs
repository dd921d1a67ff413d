//! The tables that people read.

use std::io::IsTerminal;

use comfy_table::{ContentArrangement, Table, presets};

/// Least width of a table; a narrower terminal wraps the lines itself.
const LEAST_WIDTH: u16 = 110;

/// An empty table with this header; on a terminal it is fitted to its width.
pub(super) fn fitted(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(table.width().unwrap_or_default().max(LEAST_WIDTH));
    } else {
        table.force_no_tty();
    }
    table
}
