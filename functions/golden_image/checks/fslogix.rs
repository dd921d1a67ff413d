//! The checks of exclusions for profile containers: FX.

use serde_json::{Map, Value};

use crate::golden_image::{
    checks::image::service,
    evidence::{Read, hidden, items, number},
    item::{Checked, Outcome, fail, not_assessable, pass, skip, warn},
    machine::{Image, PROFILES, list},
};

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

/// The known entries of an exclusion list.
struct Exclusions {
    entries: Vec<String>,
    /// The reason that there may be more entries; `None` when the list is complete.
    hidden: Option<Outcome>,
}

/// Returns true if an entry can be an exclusion of this kind.
///
/// When Windows refuses to show exclusions, the entry is a sentence in the language of
/// Windows.
fn is_entry(kind: &str, entry: &str) -> bool {
    let entry = entry.trim();
    let has_drive =
        entry.get(1..2) == Some(":") && entry.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_path =
        has_drive || entry.contains('\\') || entry.starts_with('%') || entry.starts_with("//");
    match kind {
        "Path" => is_path,
        "Extension" => {
            entry.len() <= 32
                && entry
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !":/\\".contains(c))
        }
        _ => is_path || entry.contains('*') || entry.to_ascii_lowercase().ends_with(".exe"),
    }
}

/// The entries of an exclusion list.
///
/// Where Windows hides them, they are read from both registry keys, because either one
/// may contain the entry that matters.
fn exclusions(image: &Image<'_>, kind: &str) -> Exclusions {
    let shown = image.evidence.texts("mpPref", &format!("Exclusion{kind}"));
    let shown =
        shown.and_then(
            |entries| match entries.iter().find(|entry| !is_entry(kind, entry)) {
                Some(other) => Err(not_assessable(&format!(
                    "{other}: this is not an exclusion"
                ))),
                None => Ok(entries),
            },
        );
    let mut hidden = match shown {
        Ok(entries) => {
            return Exclusions {
                entries,
                hidden: None,
            };
        }
        Err(hidden) => Some(hidden),
    };
    let name = if kind == "Process" {
        "Processes".to_owned()
    } else {
        format!("{kind}s")
    };
    let mut entries = Vec::new();
    let mut read = 0;
    for root in [
        r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender",
        r"HKLM\SOFTWARE\Microsoft\Windows Defender",
    ] {
        if let Ok(key) = image.evidence.key(&format!(r"{root}\Exclusions\{name}")) {
            read += 1;
            entries.extend(key.into_iter().flat_map(Map::keys).cloned());
        }
    }
    if read == 2 {
        hidden = None;
    }
    Exclusions { entries, hidden }
}

/// Normalizes an exclusion as Defender compares it.
///
/// The result is in lower case, with variables expanded, and with slashes and prefixes
/// as Windows reads them.
fn normalized(image: &Image<'_>, entry: &str) -> String {
    let folder = |name: &str, usual: &str| {
        let known = image.evidence.text("host", name).unwrap_or_default();
        let known = known.trim_end_matches('\\').to_lowercase();
        if known.is_empty() {
            usual.to_owned()
        } else {
            known
        }
    };
    let windows = folder("windir", r"c:\windows");
    let drive = windows.get(..2).unwrap_or("c:").to_owned();
    let temp = folder("temp", &format!(r"{windows}\temp"));
    let data = folder("programData", r"c:\programdata");
    let mut entry = entry.trim().to_lowercase().replace('/', "\\");
    for prefix in [r"\\?\unc", r"\\?", r"\\."] {
        if let Some(rest) = entry.strip_prefix(&format!(r"{prefix}\")) {
            let start = if prefix.ends_with("unc") { r"\\" } else { "" };
            entry = format!("{start}{rest}");
        }
    }
    for (variable, value) in [
        ("%windir%", windows.as_str()),
        ("%systemroot%", &windows),
        ("%systemdrive%", &drive),
        ("%homedrive%", &drive),
        ("%programdata%", &data),
        ("%allusersprofile%", &data),
        ("%programfiles%", &format!(r"{drive}\program files")),
        ("%programw6432%", &format!(r"{drive}\program files")),
        (
            "%programfiles(x86)%",
            &format!(r"{drive}\program files (x86)"),
        ),
        ("%public%", &format!(r"{drive}\users\public")),
        ("%temp%", &temp),
        ("%tmp%", &temp),
    ] {
        entry = entry.replace(variable, value);
    }
    while entry.contains(r"\.\") {
        entry = entry.replace(r"\.\", "\\");
    }
    entry
        .strip_suffix(r"\.")
        .map_or(entry.clone(), str::to_owned)
}

/// The patterns that no exclusion covers.
///
/// Not assessable if a hidden exclusion may cover them.
fn missing(image: &Image<'_>, wanted: &[String]) -> Read<Vec<String>> {
    let excluded = exclusions(image, "Path");
    let entries: Vec<String> = excluded
        .entries
        .iter()
        .map(|entry| normalized(image, entry))
        .collect();
    let has = |pattern: &&String| {
        let pattern = normalized(image, pattern);
        let folder = pattern.trim_end_matches(r"\*").to_owned();
        let is_folder = folder != pattern;
        entries.iter().any(|entry| {
            let entry = entry.trim_end_matches('\\');
            entry == pattern || (is_folder && entry == folder)
        })
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

/// Skips an item of `FSLogix` where it is not in use.
macro_rules! with_fslogix {
    ($image:ident) => {
        if !in_use($image)? {
            return skip("FSLogix is not in use");
        }
    };
}

pub(in crate::golden_image) fn temp_patterns(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let wanted = [
        r"%TEMP%\*\*.VHD",
        r"%TEMP%\*\*.VHDX",
        r"%Windir%\TEMP\*\*.VHD",
        r"%Windir%\TEMP\*\*.VHDX",
    ];
    covered(image, &wanted.map(str::to_owned))
}

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
    with_fslogix!(image);
    let wanted = match on_each(image, &["VHD", "VHDX"])? {
        Ok(wanted) => wanted,
        Err(outcome) => return Ok(outcome),
    };
    let missing = missing(image, &wanted)?;
    if missing.is_empty() {
        return pass("all excluded");
    }
    let shallow = wanted.iter().any(|pattern| {
        let shallow = normalized(image, pattern).replacen(r"\*\*.", r"\*.", 1);
        let entries = exclusions(image, "Path").entries;
        entries
            .iter()
            .any(|entry| normalized(image, entry) == shallow)
    });
    let why = if shallow {
        "; a pattern such as \\\\server\\share\\*.VHDX matches only files in the last folder, and containers are one folder below it"
    } else {
        ""
    };
    fail(format!("not excluded: {}{why}", list(&missing)))
}

pub(in crate::golden_image) fn lock_patterns(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
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
    with_fslogix!(image);
    if image.evidence.registry(PROFILES, "CCDLocations")?.is_none() {
        return skip("no Cloud Cache");
    }
    let wanted = [
        r"%ProgramData%\FSLogix\Cache\*",
        r"%ProgramData%\FSLogix\Proxy\*",
    ];
    covered(image, &wanted.map(str::to_owned))
}

/// Folders of a drive that malware often uses.
const OPEN_FOLDERS: [&str; 8] = [
    r"\users",
    r"\users\public",
    r"\windows",
    r"\windows\temp",
    r"\programdata",
    r"\program files",
    r"\program files (x86)",
    r"\temp",
];

/// Endings of programs and scripts.
///
/// Excluding one of them applies to the entire machine.
const RUNNABLE: [&str; 15] = [
    "", "exe", "dll", "sys", "com", "scr", "msi", "ps1", "bat", "cmd", "js", "vbs", "hta", "lnk",
    "zip",
];

/// The reason that an exclusion is too broad, and whether it fails the item.
fn too_broad(image: &Image<'_>, entry: &str) -> Option<(bool, &'static str)> {
    let plain = normalized(image, entry);
    // A pattern for every file of a folder means the folder.
    let path = plain.trim_end_matches(['*', '?', '.', '\\']);
    let (drive, below) = match path.split_once(':') {
        Some((drive, below)) if drive.len() == 1 => (drive, below),
        _ => ("", path),
    };
    if path.is_empty() || (!drive.is_empty() && below.is_empty()) {
        return Some((true, "an entire drive"));
    }
    if (!drive.is_empty() && OPEN_FOLDERS.contains(&below)) || path == normalized(image, "%TEMP%") {
        return Some((true, "a folder that malware often uses"));
    }
    if path == normalized(image, r"%ProgramData%\FSLogix") {
        return Some((false, "only Cache and Proxy are needed"));
    }
    if path.starts_with('%') {
        return Some((
            false,
            "a variable that exists only for a user, so Defender cannot resolve it",
        ));
    }
    if entry.matches(['*', '?']).count() > 6 {
        return Some((false, "more than 6 wildcards, so it has no effect"));
    }
    let windows = normalized(image, "%windir%");
    if drive.is_empty() || windows.starts_with(drive) {
        return None;
    }
    let Ok(drives) = image.evidence.texts("fs", "localDrives") else {
        return Some((
            false,
            "perhaps a mapped drive: the drives were not collected",
        ));
    };
    let is_local = drives.iter().any(|local| {
        let local = local.trim_end_matches([':', '\\']);
        local.eq_ignore_ascii_case(drive)
    });
    (!is_local).then_some((false, "a mapped drive; use the UNC path"))
}

pub(in crate::golden_image) fn nothing_broad(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let (extensions, paths) = (exclusions(image, "Extension"), exclusions(image, "Path"));
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
        if let Some((grave, why)) = too_broad(image, entry) {
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
    with_fslogix!(image);
    let excluded = exclusions(image, "Process");
    match excluded.hidden {
        Some(hidden) => Err(hidden),
        None => pass(format!(
            "optional; excluded processes: {}",
            list(&excluded.entries)
        )),
    }
}
