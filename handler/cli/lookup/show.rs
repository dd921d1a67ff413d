//! A look-up as a person reads it: one file as a block, several as a table.

use std::{collections::HashMap, io::IsTerminal};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use functions::{
    hashes::{CLEAN_MEANS, FileAnswer, FileState, HashResult, LookupAnswer, Overview, Verdict},
    report::text::visible,
};

use crate::cli::table::fitted;

/// More files than this with the same reason for not being checked are one line.
const MAX_NOT_CHECKED: usize = 5;

/// Digits of a hash that stand for it.
const SHORT: usize = 12;

/// An answer as text, with colors if they are allowed and standard output is a terminal.
pub(super) fn text(answer: &LookupAnswer, color_allowed: bool) -> String {
    let overview = answer.overview();
    let color = color_allowed && std::io::stdout().is_terminal();
    let mut text = match overview.files() {
        [file] => block(file, color),
        files => {
            let left_out = left_out(files);
            let mut text = table(files, &left_out, color);
            if !text.is_empty() {
                text += "\n\n";
            }
            text + &totals(&overview, &left_out)
        }
    };
    let foot = overview.without_hash().map(|line| visible(&line));
    let meaning = overview.has_clean().then(|| CLEAN_MEANS.to_owned());
    for line in foot.into_iter().chain(meaning) {
        text += &format!("\n{line}\n");
    }
    text
}

/// One file: its verdict, then a line for each fact, fitted to a terminal.
fn block(file: &FileAnswer<'_>, color: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    if color {
        table.enforce_styling();
    }
    let mut verdict = Cell::new(file.word());
    if color {
        verdict = verdict.fg(paint(file)).add_attribute(Attribute::Bold);
    }
    table.add_row([verdict, Cell::new(visible(file.hash()))]);
    for (label, value) in file.facts() {
        table.add_row([label.to_owned(), value]);
    }
    if let Some(column) = table.column_mut(0) {
        column
            .set_padding((0, 1))
            .set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt() + "\n"
}

/// A row for each input, those of one file together. Files that could not be checked for a
/// common reason are left to the summary.
fn table(files: &[FileAnswer<'_>], left_out: &[String], color: bool) -> String {
    let has_evidence = files.iter().any(|file| !file.tenant().is_empty());
    let mut header = vec!["VERDICT", "HASH", "DEVICES", "WHY"];
    if has_evidence {
        header.insert(3, "IN YOUR TENANT");
    }
    let mut table = fitted(&header);
    if color {
        table.enforce_styling();
    }
    for file in files {
        let is_left_out = |reason: String| left_out.contains(&reason);
        if file.verdict().is_none() && file.not_checked().is_some_and(is_left_out) {
            continue;
        }
        for (at, result) in file.results().iter().enumerate() {
            let mut row = cells(file, result, at == 0);
            if !has_evidence {
                row.remove(3);
            }
            let mut row: Vec<Cell> = row
                .into_iter()
                .map(|text| Cell::new(visible(&text)))
                .collect();
            if color {
                let verdict = row.remove(0).fg(paint(file)).add_attribute(Attribute::Bold);
                row.insert(0, verdict);
            }
            table.add_row(row);
        }
    }
    if table.row_count() == 0 {
        return String::new();
    }
    if let Some(column) = table.column_mut(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt()
}

/// The reasons that too many files share.
fn left_out(files: &[FileAnswer<'_>]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let not_asked = files
        .iter()
        .filter(|file| matches!(file.state(), FileState::NotAsked(_)));
    for reason in not_asked.filter_map(FileAnswer::not_checked) {
        *counts.entry(reason).or_default() += 1;
    }
    let many = counts
        .into_iter()
        .filter(|(_, count)| *count > MAX_NOT_CHECKED);
    many.map(|(reason, _)| reason).collect()
}

/// Verdict, hash, devices worldwide, findings in the tenant, reason. The further hashes of
/// a file only refer to it.
fn cells(file: &FileAnswer<'_>, result: &HashResult, is_first: bool) -> Vec<String> {
    let hash = result.hash.clone();
    if !is_first {
        let short = file.hash().get(..SHORT).unwrap_or(file.hash());
        let same = format!("the same file as {short}...");
        return vec![file.word(), hash, String::new(), String::new(), same];
    }
    let profile = file.decisive().file.as_ref();
    let devices = profile.and_then(|profile| profile.global_prevalence);
    let devices = devices.map(|count| count.to_string()).unwrap_or_default();
    vec![file.word(), hash, devices, file.tenant(), file.why()]
}

fn paint(file: &FileAnswer<'_>) -> Color {
    match (file.verdict(), file.is_checked()) {
        (Some(Verdict::Malicious), _) => Color::Red,
        (Some(Verdict::Suspicious), _) => Color::Yellow,
        (_, false) => Color::Magenta,
        (Some(Verdict::Clean), _) => Color::Green,
        (Some(Verdict::Unknown) | None, _) => Color::Grey,
    }
}

/// The sentences below a table: the totals, and the files that it leaves out.
fn totals(overview: &Overview<'_>, left_out: &[String]) -> String {
    let is_left_out = |line: &String| left_out.iter().any(|reason| line.ends_with(reason));
    let not_listed = overview.not_checked().into_iter().filter(is_left_out);
    let not_listed =
        not_listed.map(|line| format!("{line} (not listed here; --format csv has them)"));
    let lines = [overview.lead()].into_iter().chain(overview.facts());
    let lines = lines.chain(not_listed);
    lines.map(|line| visible(&line) + "\n").collect()
}
