//! The sentences about an answer: the verdict first, then what was checked and what was not.

use std::fmt::Write;

use super::details::minute;
use crate::{
    hashes::{FileAnswer, LookupAnswer, Verdict, files},
    report::text::counted,
};

/// The meaning of Clean, wherever a person reads the word.
pub const CLEAN_MEANS: &str = "Clean means \"no detection by Microsoft\", not an approval.";

/// The files of an answer in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    files: usize,
    checked: usize,
    /// Files that were not checked and are neither malicious nor suspicious.
    open: usize,
    malicious: usize,
    suspicious: usize,
    unknown: usize,
    clean: usize,
}

impl Numbers {
    fn of(files: &[FileAnswer<'_>]) -> Self {
        let with = |verdict| {
            let counts =
                |file: &&FileAnswer<'_>| file.is_checked() || verdict >= Verdict::Suspicious;
            let same = files.iter().filter(|file| file.verdict() == Some(verdict));
            same.filter(counts).count()
        };
        Self {
            files: files.len(),
            checked: files.iter().filter(|file| file.is_checked()).count(),
            open: files.iter().filter(|file| is_open(file)).count(),
            malicious: with(Verdict::Malicious),
            suspicious: with(Verdict::Suspicious),
            unknown: with(Verdict::Unknown),
            clean: with(Verdict::Clean),
        }
    }

    /// The verdicts that there are: `1 malicious, 2 unknown`.
    fn verdicts(&self) -> String {
        let each = [
            (self.malicious, "malicious"),
            (self.suspicious, "suspicious"),
            (self.unknown, "unknown"),
            (self.clean, "clean"),
        ];
        let there = each.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = there
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        words.join(", ")
    }
}

/// An answer by its files, and the sentences about it.
#[derive(Clone, Debug)]
pub struct Overview<'a> {
    answer: &'a LookupAnswer,
    files: Vec<FileAnswer<'a>>,
}

impl LookupAnswer {
    /// The answer by its files.
    pub fn overview(&self) -> Overview<'_> {
        Overview {
            answer: self,
            files: files(&self.results),
        }
    }
}

impl<'a> Overview<'a> {
    /// The files, in the order in which they were first asked.
    pub fn files(&self) -> &[FileAnswer<'a>] {
        &self.files
    }

    /// Returns true if a file was not checked, for whatever reason.
    pub fn has_unchecked(&self) -> bool {
        !self.files.iter().all(FileAnswer::is_checked)
    }

    /// The sentence that matters most, such as `1 of 4 files is malicious, 1 NOT checked.`
    pub fn lead(&self) -> String {
        let n = Numbers::of(&self.files);
        let files = counted(n.files, "file", "files");
        let (bad, word) = match n.malicious {
            0 => (n.suspicious, "suspicious"),
            malicious => (malicious, "malicious"),
        };
        let is = if bad == 1 { "is" } else { "are" };
        match n.open {
            _ if n.files == 0 => self.nothing_to_check(),
            0 if bad == 0 && n.unknown > 0 => {
                let is = if n.unknown == 1 { "is" } else { "are" };
                format!(
                    "{} of {files} {is} unknown, none malicious or suspicious.",
                    n.unknown
                )
            }
            0 if bad == 0 => "No file is malicious or suspicious.".to_owned(),
            open if open == n.files => format!("NOT checked: {files}."),
            open if bad == 0 => {
                let was = if open == 1 { "was" } else { "were" };
                format!(
                    "{open} of {files} {was} NOT checked. No other file is malicious or suspicious."
                )
            }
            open => {
                let more = if n.malicious > 0 { n.suspicious } else { 0 };
                let more = [(more, "suspicious"), (open, "NOT checked")];
                let more = more.iter().filter(|(count, _)| *count > 0);
                let more: String = more
                    .map(|(count, word)| format!(", {count} {word}"))
                    .collect();
                format!("{bad} of {files} {is} {word}{more}.")
            }
        }
    }

    /// The number of files that were checked, their verdicts, and the time of the oldest
    /// answer; `None` where nothing was checked.
    pub fn facts(&self) -> Option<String> {
        let n = Numbers::of(&self.files);
        let times = self
            .files
            .iter()
            .filter_map(|file| file.decisive().as_of.as_deref());
        let oldest = times.min()?;
        let total = counted(n.files, "file", "files");
        let checked = match n.checked == n.files {
            true => format!("Checked {total}"),
            false => format!("Checked {} of {total}", n.checked),
        };
        let verdicts = match n.verdicts() {
            none if none.is_empty() => none,
            verdicts => format!(": {verdicts}"),
        };
        Some(format!("{checked}{verdicts}. {} UTC.", minute(oldest)))
    }

    /// A sentence for every reason why files were not checked, such as
    /// `2 of 3 files NOT checked: ask again later`.
    pub fn not_checked(&self) -> Vec<String> {
        let mut reasons: Vec<(String, usize)> = Vec::new();
        for reason in self.files.iter().filter_map(FileAnswer::not_checked) {
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
        }
        let total = counted(self.files.len(), "file", "files");
        let sentences = reasons.into_iter();
        sentences
            .map(|(reason, count)| format!("{count} of {total} NOT checked: {reason}"))
            .collect()
    }

    /// The names of the sender's files that have no hash; `None` without any.
    pub fn without_hash(&self) -> Option<String> {
        const SHOWN: usize = 10;
        let names = &self.answer.sender.files_without_hash;
        let files = counted(names.len(), "file has", "files have");
        let mut text = format!("{files} no hash and cannot be checked: {}", names.first()?);
        for name in names.iter().take(SHOWN).skip(1) {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {name}");
        }
        if names.len() > SHOWN {
            let _ = write!(text, " and {} more", names.len() - SHOWN);
        }
        Some(text)
    }

    fn nothing_to_check(&self) -> String {
        let what = if self.answer.sender.is_incident {
            "incident"
        } else {
            "input"
        };
        format!("This {what} has no SHA-1 or SHA-256; nothing was checked.")
    }

    /// Returns true if a file is Clean, so that the word needs its meaning.
    pub fn has_clean(&self) -> bool {
        self.answer.summary.clean > 0
    }
}

fn is_open(file: &FileAnswer<'_>) -> bool {
    !file.is_checked() && file.verdict() < Some(Verdict::Suspicious)
}
