//! The FX checks: antivirus exclusions for profile containers (`FSLogix`).

mod exclusion;
mod locations;

use std::collections::HashSet;

use crate::golden_image::{
    checks::image::service,
    evidence::{Read, number},
    item::{Checked, fail, pass, skip, skipped, warn},
    machine::{Image, PROFILES, list},
};
use exclusion::{Normalizer, RUNNABLE, exclusions, too_broad};

pub(in crate::golden_image) use locations::{cloud_cache, lock_patterns, share_patterns};

fn in_use(image: &Image<'_>) -> Read<bool> {
    let service = service(image, "frxsvc")?;
    let enabled = image.evidence.registry(PROFILES, "Enabled")?;
    Ok(service.is_some() || enabled.and_then(number) == Some(1))
}

pub(in crate::golden_image) fn fslogix(image: &Image<'_>) -> Checked {
    match in_use(image)? {
        true => pass("FSLogix is in use"),
        false => skip("FSLogix is not in use"),
    }
}

/// The patterns that no exclusion covers.
///
/// Not assessable if a hidden exclusion may cover them.
fn missing(image: &Image<'_>, wanted: &[String]) -> Read<Vec<String>> {
    let excluded = exclusions(image, "Path");
    let paths = Normalizer::new(image);
    let entries: HashSet<String> = excluded
        .entries
        .iter()
        .map(|entry| paths.path(entry).trim_end_matches('\\').to_owned())
        .collect();
    let has = |pattern: &&String| {
        let pattern = paths.path(pattern);
        let folder = pattern.trim_end_matches(r"\*");
        entries.contains(&pattern) || entries.contains(folder)
    };
    let missing: Vec<String> = wanted
        .iter()
        .filter(|pattern| !has(pattern))
        .cloned()
        .collect();
    match excluded.hidden {
        Some(hidden) if !missing.is_empty() => Err(hidden),
        _ => Ok(missing),
    }
}

fn covered(image: &Image<'_>, wanted: &[String]) -> Checked {
    let missing = missing(image, wanted)?;
    if missing.is_empty() {
        return pass("all excluded");
    }
    fail(format!("not excluded: {}", list(&missing)))
}

/// The outcome of an item that does not apply, if `FSLogix` is not in use.
fn require_fslogix(image: &Image<'_>) -> Read<()> {
    match in_use(image)? {
        true => Ok(()),
        false => Err(skipped("FSLogix is not in use")),
    }
}

pub(in crate::golden_image) fn temp_patterns(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    let wanted = [
        r"%TEMP%\*\*.VHD",
        r"%TEMP%\*\*.VHDX",
        r"%Windir%\TEMP\*\*.VHD",
        r"%Windir%\TEMP\*\*.VHDX",
    ];
    covered(image, &wanted.map(str::to_owned))
}

pub(in crate::golden_image) fn nothing_broad(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    let (extensions, paths) = (exclusions(image, "Extension"), exclusions(image, "Path"));
    let normalizer = Normalizer::new(image);
    let mut found = Vec::new();
    let mut fails = false;
    for entry in &extensions.entries {
        let ending = entry.trim_start_matches(['*', '.']).to_lowercase();
        let runs = RUNNABLE.contains(&ending.as_str());
        if runs || ending.starts_with("vhd") {
            fails |= runs;
            found.push(format!("extension {entry} (applies to the entire machine)"));
        }
    }
    for entry in &paths.entries {
        if let Some((grave, why)) = too_broad(image, &normalizer, entry) {
            fails |= grave;
            found.push(format!("{entry} ({why})"));
        }
    }
    let seen = list(&found);
    if fails {
        return fail(seen);
    }
    // A hidden exclusion may be the one that fails.
    if let Some(hidden) = extensions.hidden.or(paths.hidden) {
        return Err(hidden);
    }
    match found.is_empty() {
        true => pass("no exclusion is too broad"),
        false => warn(seen),
    }
}

pub(in crate::golden_image) fn processes(image: &Image<'_>) -> Checked {
    require_fslogix(image)?;
    let excluded = exclusions(image, "Process");
    match excluded.hidden {
        Some(hidden) => Err(hidden),
        None => pass(format!(
            "optional; excluded processes: {}",
            list(&excluded.entries)
        )),
    }
}
