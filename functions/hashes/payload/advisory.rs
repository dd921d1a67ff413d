//! Hashes in prose: an advisory, a mail, a table, a log, as it was pasted.

use super::Inputs;
use crate::{
    hashes::{Observable, UnusableHash},
    text::{HashLike, Likeness, hash_like},
};

/// The hashes of a text, in the order in which they appear. What looks like a hash and is
/// not one stays, with its reason.
pub(super) fn read(text: &str) -> Inputs {
    let found = hash_like(text);
    let observables: Vec<Observable> = found.hashes.iter().map(observable).collect();
    let mut inputs = Inputs::from(observables);
    inputs.other_values = found.others;
    inputs
}

fn observable(like: &HashLike) -> Observable {
    let item = match like.likeness {
        Likeness::Complete | Likeness::OtherDigest => Observable::parse(&like.text),
        Likeness::Authenticode => Observable::unusable(&like.text, UnusableHash::Authenticode),
        Likeness::Broken(digits) => {
            Observable::unusable(&like.text, UnusableHash::LooksLike(digits))
        }
    };
    Observable {
        file: like.file,
        ..item
    }
}
