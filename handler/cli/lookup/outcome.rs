//! The exit code of a look-up, and the line that says why it is not 0.

use clap::ValueEnum;
use functions::{
    hashes::{HashResult, LookupAnswer, Verdict},
    report::text::{counted, visible},
};

use crate::cli::Exit;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Threshold {
    Malicious,
    Suspicious,
}

impl Threshold {
    fn verdict(self) -> Verdict {
        match self {
            Self::Malicious => Verdict::Malicious,
            Self::Suspicious => Verdict::Suspicious,
        }
    }
}

/// The exit code, and the reason for one that is not 0.
pub(super) fn of(answer: &LookupAnswer, fail_on: Option<Threshold>) -> (Exit, Vec<String>) {
    let found = fail_on.and_then(|threshold| found(answer, threshold.verdict()));
    if answer.summary.invalid == answer.summary.total {
        let reason = "no input is a SHA-1 or SHA-256".to_owned();
        (Exit::Unusable, vec![reason])
    } else if let Some(reason) = found {
        (Exit::Found, vec![reason])
    } else {
        let is_complete = !answer.overview().has_unchecked()
            && !answer.results.iter().any(HashResult::lacks_evidence);
        match is_complete {
            true => (Exit::Complete, Vec::new()),
            false => (Exit::Incomplete, incomplete(answer)),
        }
    }
}

/// The finding that `--fail-on` asks for, if there is one.
fn found(answer: &LookupAnswer, least: Verdict) -> Option<String> {
    let overview = answer.overview();
    let files = overview.files().iter();
    let count = files.filter(|file| file.verdict() >= Some(least)).count();
    let word = least.as_str().to_ascii_lowercase();
    (count > 0).then(|| {
        format!(
            "--fail-on {word}: {} at least {word}",
            counted(count, "file is", "files are")
        )
    })
}

/// The files that were not checked, and the evidence that could not be read, each with its
/// reason.
fn incomplete(answer: &LookupAnswer) -> Vec<String> {
    let mut reasons: Vec<String> = answer.overview().not_checked();
    let mut sources: Vec<(String, usize)> = Vec::new();
    let errors = answer.results.iter().flat_map(HashResult::evidence_errors);
    for (source, error) in errors {
        let text = format!("{source} NOT read: {}", error.detail);
        match sources.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => sources.push((text, 1)),
        }
    }
    let sources = sources.into_iter();
    reasons.extend(sources.map(|(text, count)| match count {
        1 => text,
        _ => format!("{text} ({count} hashes)"),
    }));
    reasons.iter().map(|reason| visible(reason)).collect()
}
