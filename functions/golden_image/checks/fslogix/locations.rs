//! Where `FSLogix` stores profiles, and the patterns that they need.

use std::collections::HashSet;

use serde_json::Value;

use super::exclusion::{Normalizer, exclusions};
use super::{covered, missing, require_fslogix};
use crate::golden_image::{
    evidence::{Read, hidden, items},
    item::{Checked, Outcome, fail, not_assessable, pass, skip, warn},
    machine::{Image, PROFILES, list},
};

/// The locations of profiles.
enum Locations {
    /// Shares and folders.
    Places(Vec<String>),
    /// Only Azure storage, where exclusions of paths do not apply.
    AzureOnly,
    /// Not set on this machine; a policy may set them on the desktops.
    NotSet,
}

fn locations(image: &Image<'_>) -> Read<Locations> {
    let (mut found, mut azure) = (Vec::new(), false);
    for name in ["VHDLocations", "CCDLocations"] {
        let Some(value) = image.evidence.registry(PROFILES, name)? else {
            continue;
        };
        for text in items(value) {
            let text = match text {
                Value::String(text) if !hidden(text) => text,
                other => return Err(not_assessable(&format!("{name} is {other}"))),
            };
            for part in text.split(';').filter(|part| !part.trim().is_empty()) {
                let lower = part.to_ascii_lowercase();
                azure |= lower.contains("type=azure");
                let at = lower.find("connectionstring=").map_or(0, |at| at + 17);
                let path = part.get(at..).unwrap_or_default();
                let path = path.trim().trim_matches('"').replace('/', "\\");
                let path = path.trim_end_matches('\\');
                let is_place =
                    path.starts_with(r"\\") || path.get(1..2) == Some(":") || path.contains('%');
                match is_place {
                    true => found.push(path.to_owned()),
                    false if lower.contains('=') => {}
                    false => {
                        return Err(not_assessable(&format!(
                            "{name} contains {part}, which is not a share"
                        )));
                    }
                }
            }
        }
    }
    Ok(match (found.is_empty(), azure) {
        (false, _) => Locations::Places(found),
        (true, true) => Locations::AzureOnly,
        (true, false) => Locations::NotSet,
    })
}

/// The patterns of all locations and endings, or the outcome without locations.
fn on_each(image: &Image<'_>, endings: &[&str]) -> Read<Result<Vec<String>, Outcome>> {
    let places = match locations(image)? {
        Locations::Places(places) => places,
        Locations::AzureOnly => {
            return Ok(Err(skip(
                "profiles are only in Azure storage, not on a share",
            )?));
        }
        Locations::NotSet => {
            return Ok(Err(warn(
                "VHDLocations and CCDLocations are not set here; if a policy sets them on the desktops, assess a desktop",
            )?));
        }
    };
    let patterns = places.iter().flat_map(|place| {
        endings
            .iter()
            .map(move |ending| format!(r"{place}\*\*.{ending}"))
    });
    Ok(Ok(patterns.collect()))
}

pub(in crate::golden_image) fn share_patterns(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    let wanted = match on_each(image, &["VHD", "VHDX"])? {
        Ok(wanted) => wanted,
        Err(outcome) => return Ok(outcome),
    };
    let missing = missing(image, &wanted)?;
    if missing.is_empty() {
        return pass("all excluded");
    }
    let paths = Normalizer::new(image);
    let entries: HashSet<String> = exclusions(image, "Path")
        .entries
        .iter()
        .map(|entry| paths.path(entry))
        .collect();
    let shallow = wanted.iter().any(|pattern| {
        let shallow = paths.path(pattern).replacen(r"\*\*.", r"\*.", 1);
        entries.contains(&shallow)
    });
    let why = if shallow {
        "; a pattern such as \\\\server\\share\\*.VHDX matches only files in the last folder, and containers are one folder below it"
    } else {
        ""
    };
    fail(format!("not excluded: {}{why}", list(&missing)))
}

pub(in crate::golden_image) fn lock_patterns(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    let endings = [
        "VHD.lock",
        "VHD.meta",
        "VHD.metadata",
        "VHDX.lock",
        "VHDX.meta",
        "VHDX.metadata",
    ];
    match on_each(image, &endings)? {
        Ok(wanted) => covered(image, &wanted),
        Err(outcome) => Ok(outcome),
    }
}

pub(in crate::golden_image) fn cloud_cache(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    if image.evidence.registry(PROFILES, "CCDLocations")?.is_none() {
        return skip("no Cloud Cache");
    }
    let wanted = [
        r"%ProgramData%\FSLogix\Cache\*",
        r"%ProgramData%\FSLogix\Proxy\*",
    ];
    covered(image, &wanted.map(str::to_owned))
}
