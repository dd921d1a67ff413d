//! Traces of another machine that a golden image must not have.

use crate::golden_image::{
    evidence::{Read, number},
    item::{Checked, hold, not_assessable, pass},
    machine::{IDENTITIES, Image, POLICY, SENSOR, STATUS, SUBKEY, list},
};

pub(in crate::golden_image) fn onboarding_state(image: &Image<'_>) -> Read<Option<i64>> {
    match image.evidence.registry(STATUS, "OnboardingState")? {
        None => Ok(None),
        Some(value) => number(value)
            .map(Some)
            .ok_or_else(|| not_assessable(&format!("OnboardingState is {value}"))),
    }
}

pub(in crate::golden_image) fn not_onboarded(image: &Image<'_>) -> Checked {
    match onboarding_state(image)? {
        None => pass("OnboardingState is absent"),
        Some(state) => hold(state == 0, format!("OnboardingState is {state}")),
    }
}

pub(super) fn absent(image: &Image<'_>, key: &str, name: &str) -> Checked {
    let found = image.evidence.registry(key, name)?.is_some();
    hold(
        !found,
        format!("{name} is {}", if found { "present" } else { "absent" }),
    )
}

pub(in crate::golden_image) fn no_guid(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseGuid")
}

pub(in crate::golden_image) fn no_id(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseId")
}

pub(in crate::golden_image) fn no_identities(image: &Image<'_>) -> Checked {
    let mut found = Vec::new();
    for name in IDENTITIES {
        if image.evidence.registry(SENSOR, name)?.is_some() {
            found.push(name.to_owned());
        }
    }
    hold(
        found.is_empty(),
        format!("remaining values: {}", list(&found)),
    )
}

pub(in crate::golden_image) fn no_subkey(image: &Image<'_>) -> Checked {
    let found = image.evidence.key(SUBKEY)?.is_some();
    hold(
        !found,
        if found {
            "the subkey is present"
        } else {
            "the subkey is absent"
        },
    )
}

pub(in crate::golden_image) fn cache_empty(image: &Image<'_>) -> Checked {
    let files = image.evidence.number("fs", "cyberFileCount")?;
    hold(files == 0, format!("files: {files}"))
}

pub(in crate::golden_image) fn no_blob(image: &Image<'_>) -> Checked {
    absent(image, POLICY, "OnboardingInfo")
}
