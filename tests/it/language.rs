//! Prose is plain American English: comments, messages and documents have none of the
//! words below, and doc comments are noun phrases.

use std::{fs, path::Path, process::Command, sync::LazyLock};

use regex::Regex;

use crate::support::package::repository;

/// A pattern that prose must not have, and better words.
type Rule = (&'static str, &'static str);

const RULES: [Rule; 20] = [
    (
        r"\b(?:tell|tells|told|telling)\b",
        "report, show, list, say, print, notify",
    ),
    (r"\bmend(?:s|ed|ing)?\b", "fix"),
    (
        r"\b(?:lies?|lay|lying) (?:in|beside|open|behind)\b",
        "is stored in, sits next to, is exposed",
    ),
    (r"\b(?:no|any)body\b", "no one, anyone, or the actor"),
    (r"\bsomebody(?:'s)?\b", "someone, or the actor"),
    (r"\bbeside\b", "next to, in addition to"),
    (r"\bwhole\b", "complete, entire; incomplete for not whole"),
    (
        r"\bh(?:o|e)ld(?:s|ing)? [a-z ]{0,20}against\b",
        "check against",
    ),
    (r"\bplan for AI\b|\bAI plan\b", "Defender for AI"),
    (r"\bthe sums\b", "totals"),
    (r"\bcould not be asked\b", "could not be checked"),
    (r"\b(?:in one go|at once)\b", "together, immediately"),
    (r"\bgo(?:es)? (?:on|with)\b", "continues, expires with"),
    (
        r"\blooks whole\b|\btakes what it has\b",
        "appears complete, accepts",
    ),
    (
        r"\bfor ever\b|\bspelt\b|\blearnt\b|\bwhilst\b",
        "forever, spelled",
    ),
    (
        r"\b(?:colour|behaviour|favour|honour|neighbour|licence|centre|catalogue|grey)s?\b",
        "American spelling",
    ),
    (
        r"\b(?:recogni|authori|organi|optimi|initiali|normali|seriali|summari|minimi|categori|utili)s(?:e|es|ed|ing|ation)\b",
        "American spelling",
    ),
    (
        r"\b(?:that|which|it|this|input|file|text|spelling|answer|name) (?:is|are|was|were) no \w+",
        "is not a, is not an",
    ),
    (r"\balone\b", "only"),
    (
        r"\b1 (?:hashes|devices|subscriptions|rows|hosts|records|files|items|runs|changes|plans)\b",
        "singular",
    ),
];

static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let compile = |(pattern, better): Rule| {
        let pattern = Regex::new(&format!("(?i){pattern}"));
        (pattern.expect("a pattern"), better)
    };
    RULES.into_iter().map(compile).collect()
});

/// Prose that keeps one of the words: the end of a path, a phrase, and the reason.
const ALLOWED: [(&str, &str, &str); 7] = [
    (
        "CHANGELOG.md",
        "`mend`",
        "names the JSON field that was renamed",
    ),
    (
        "docs/api.md",
        "`notice.told`",
        "name of a file in storage that exists",
    ),
    (
        "docs/coverage.md",
        "`notice.told`",
        "name of a file in storage that exists",
    ),
    (
        "delivery.rs",
        "notice.told",
        "name of a file in storage that exists",
    ),
    (".md", "unrecognised_body", "stable code of a problem"),
    (".rs", "unrecognised_", "stable code of a problem"),
    ("language.rs", "", "the list itself"),
];

/// A piece of prose with the line that it starts on.
struct Prose {
    line: usize,
    text: String,
    is_doc_start: bool,
}

/// Comments and string literals of Rust; every line of other files.
fn prose(path: &str, text: &str) -> Vec<Prose> {
    let is_rust = path.ends_with(".rs");
    let mut found = Vec::new();
    let mut was_doc = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let is_doc = trimmed.starts_with("///") || trimmed.starts_with("//!");
        let parts = match (is_rust, trimmed.starts_with("//")) {
            (false, _) => line.to_owned(),
            (true, true) => trimmed.trim_start_matches(['/', '!', ' ']).to_owned(),
            (true, false) => literals(line),
        };
        found.push(Prose {
            line: index + 1,
            text: parts,
            is_doc_start: is_rust && is_doc && !was_doc,
        });
        was_doc = is_doc;
    }
    found
}

/// The texts between quotes in a line of code, and a comment at its end.
///
/// A line inside a literal of several lines has no quote and counts as a text if it does
/// not look like code.
fn literals(line: &str) -> String {
    if !line.contains('"') {
        let is_code =
            line.ends_with([';', '{', '}', ',', '(', ')', '>', '=']) || line.contains("::");
        return if is_code {
            String::new()
        } else {
            comment(line)
        };
    }
    let mut texts = String::new();
    for (index, part) in line.replace("\\\"", "'").split('"').enumerate() {
        if index % 2 == 1 {
            texts.push_str(part);
            texts.push(' ');
        }
    }
    texts + &comment(line)
}

fn comment(line: &str) -> String {
    line.split_once(" // ")
        .map(|(_, comment)| comment.to_owned())
        .unwrap_or_default()
}

fn is_allowed(path: &str, text: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(end, phrase, _)| path.ends_with(end) && text.contains(phrase))
}

/// Files with prose that people read.
fn documents() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(repository())
        .output()
        .expect("git runs");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let ends = [
        ".rs", ".md", ".ps1", ".sh", ".bicep", ".py", ".js", ".mjs", ".html", ".yml", ".yaml",
        ".toml",
    ];
    let is_prose = |path: &&str| {
        ends.iter().any(|end| path.ends_with(end)) && !path.starts_with("tests/data/")
    };
    listed
        .split('\0')
        .filter(is_prose)
        .map(str::to_owned)
        .collect()
}

fn broken_rules(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for piece in prose(path, text) {
        if is_allowed(path, &piece.text) {
            continue;
        }
        let words = piece.text.replace("whole number", "number");
        let words = words.replace(" no longer", " not any longer");
        for (rule, better) in PATTERNS.iter() {
            if let Some(found) = rule.find(&words) {
                broken.push(format!(
                    "{path}:{}: `{}`; better: {better}",
                    piece.line,
                    found.as_str()
                ));
            }
        }
        let first = words.split_whitespace().next().unwrap_or_default();
        if piece.is_doc_start && ["What", "Whether"].contains(&first) {
            broken.push(format!(
                "{path}:{}: a doc comment is a noun phrase",
                piece.line
            ));
        }
    }
    broken
}

#[test]
fn prose_is_plain_american_english() {
    let documents = documents();
    assert!(documents.len() > 300);
    let broken: Vec<String> = documents
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(Path::new(repository()).join(path)).unwrap_or_default();
            broken_rules(path, &text)
        })
        .collect();
    assert!(
        broken.is_empty(),
        "{} places:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn planted_words_are_found_in_comments_and_messages_but_not_in_names() {
    for text in [
        "/// What the answer is.",
        "// Nobody is told.",
        "    \"could not be asked\"",
        "    x(); // at once",
        "/// The behaviour.",
        "    \"found 1 hashes\"",
    ] {
        assert!(!broken_rules("x.rs", text).is_empty(), "{text}");
    }
    for text in [
        "fn told(whole: bool) {}",
        "/// A whole number.",
        "/// The place of the report.",
        "let beside = tell(1);",
    ] {
        assert_eq!(broken_rules("x.rs", text), [""; 0], "{text}");
    }
    assert!(!broken_rules("x.md", "It goes on.").is_empty());
}
