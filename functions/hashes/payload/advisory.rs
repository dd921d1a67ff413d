//! Hashes in prose: an advisory, a mail, a table, a log, as it was pasted.

use crate::{
    hashes::{Observable, UnusableHash},
    text::{HashLike, Likeness, hash_like},
};

/// The hashes of a text, in the order in which they appear. What looks like a hash and is
/// not one stays, with its reason.
pub(super) fn hashes(text: &str) -> Vec<Observable> {
    hash_like(text).iter().map(observable).collect()
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
