//! A list of hashes, one on each line.

use super::{Inputs, advisory};
use crate::{
    hashes::Observable,
    text::{Label, label_of},
};

/// The items of a list; `None` for a text that is not one.
///
/// A text is a list if each line is one word or a labeled hash, and at least half of them
/// are hashes. A line that is not a hash stays with its reason, unless it is an address.
/// Empty lines, lines that start with `#`, and a head such as `SHA256` are skipped.
pub(super) fn read(text: &str) -> Option<Inputs> {
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    if lines.first().and_then(|line| label_of(line)) == Some(Label::FileHash) {
        lines.remove(0);
    }
    let items: Vec<Observable> = lines.iter().map(|line| Observable::parse(line)).collect();
    let hashes = items.iter().filter(|item| item.hash.is_ok()).count();
    let is_word = |(line, item): (&&str, &Observable)| {
        item.hash.is_ok() || !line.contains(char::is_whitespace)
    };
    let are_words = lines.iter().zip(&items).all(is_word);
    (are_words && hashes * 2 >= items.len() && !items.is_empty()).then(|| {
        let mut inputs = Inputs::default();
        for (line, item) in lines.iter().zip(items) {
            inputs.append(of_line(line, item));
        }
        inputs
    })
}

/// The items of a line: the hash that it is, or those in it, or the line itself.
fn of_line(line: &str, item: Observable) -> Inputs {
    if item.hash.is_ok() {
        return vec![item].into();
    }
    let inside = advisory::read(line);
    let is_address = line.contains(['.', '/', '@', ':']);
    match inside.observables.is_empty() && !is_address {
        true => vec![item].into(),
        false => inside,
    }
}
