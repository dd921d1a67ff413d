//! Exclusions for profile containers: FX.

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

/// Entries of an exclusion list, as far as they are told.
struct Exclusions {
    entries: Vec<String>,
    /// Why there may be more of them; `None` when these are all.
    hidden: Option<Outcome>,
}

/// Whether an entry can be what it is said to be. The refusal to show exclusions is
/// a sentence in the language of Windows.
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

/// Entries of an exclusion list, from the registry where Windows hides them: from
/// both of its keys, because either may hold the one that matters.
fn exclusions(image: &Image<'_>, kind: &str) -> Exclusions {
    let shown = image.evidence.texts("mpPref", &format!("Exclusion{kind}"));
    let shown =
        shown.and_then(
            |entries| match entries.iter().find(|entry| !is_entry(kind, entry)) {
                Some(other) => Err(not_assessable(&format!("{other}: this is no exclusion"))),
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

/// An exclusion as Defender compares it: lower case, variables spelt out, slashes
/// and prefixes as Windows reads them.
fn spelt(image: &Image<'_>, entry: &str) -> String {
    let folder = |name: &str, usual: &str| {
        let told = image.evidence.text("host", name).unwrap_or_default();
        let told = told.trim_end_matches('\\').to_lowercase();
        if told.is_empty() {
            usual.to_owned()
        } else {
            told
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

/// Which patterns no exclusion has; not assessable where more exclusions than are
/// told may have them.
fn missing(image: &Image<'_>, wanted: &[String]) -> Read<Vec<String>> {
    let told = exclusions(image, "Path");
    let entries: Vec<String> = told
        .entries
        .iter()
        .map(|entry| spelt(image, entry))
        .collect();
    let has = |pattern: &&String| {
        let pattern = spelt(image, pattern);
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
    match told.hidden {
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

/// Leaves an item of `FSLogix` out where it is not in use.
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

/// Where profiles lie.
enum Locations {
    /// Shares and folders.
    Places(Vec<String>),
    /// In Azure storage alone, which no exclusion of a path is about.
    AzureAlone,
    /// Nowhere yet: a policy may tell the desktops.
    Nowhere,
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
                            "{name} names {part}, which is no share"
                        )));
                    }
                }
            }
        }
    }
    Ok(match (found.is_empty(), azure) {
        (false, _) => Locations::Places(found),
        (true, true) => Locations::AzureAlone,
        (true, false) => Locations::Nowhere,
    })
}

/// A pattern for each place and ending, or how the item comes out without places.
fn on_each(image: &Image<'_>, endings: &[&str]) -> Read<Result<Vec<String>, Outcome>> {
    let places = match locations(image)? {
        Locations::Places(places) => places,
        Locations::AzureAlone => {
            return Ok(Err(skip(
                "profiles lie in Azure storage alone, on no share",
            )?));
        }
        Locations::Nowhere => {
            return Ok(Err(warn(
                "VHDLocations and CCDLocations are not set here; if a policy sets them on the desktops, assess one of these",
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
        let shallow = spelt(image, pattern).replacen(r"\*\*.", r"\*.", 1);
        let told = exclusions(image, "Path").entries;
        told.iter().any(|entry| spelt(image, entry) == shallow)
    });
    let why = if shallow {
        "; a pattern such as \\\\server\\share\\*.VHDX matches only files in the last folder, and containers lie one folder down"
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

/// Folders, below a drive, that anybody's malware uses.
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

/// Endings of what runs; an exclusion of one applies to the whole machine.
const RUNNABLE: [&str; 15] = [
    "", "exe", "dll", "sys", "com", "scr", "msi", "ps1", "bat", "cmd", "js", "vbs", "hta", "lnk",
    "zip",
];

/// Why an exclusion is too broad, and whether that fails.
fn too_broad(image: &Image<'_>, entry: &str) -> Option<(bool, &'static str)> {
    let spelt_out = spelt(image, entry);
    // What stands for every file of a folder is the folder.
    let path = spelt_out.trim_end_matches(['*', '?', '.', '\\']);
    let (drive, below) = match path.split_once(':') {
        Some((drive, below)) if drive.len() == 1 => (drive, below),
        _ => ("", path),
    };
    if path.is_empty() || (!drive.is_empty() && below.is_empty()) {
        return Some((true, "a whole drive"));
    }
    if (!drive.is_empty() && OPEN_FOLDERS.contains(&below)) || path == spelt(image, "%TEMP%") {
        return Some((true, "a folder that anybody's malware uses"));
    }
    if path == spelt(image, r"%ProgramData%\FSLogix") {
        return Some((false, "only Cache and Proxy are needed"));
    }
    if path.starts_with('%') {
        return Some((
            false,
            "a variable that only a user has, so it means nothing to Defender",
        ));
    }
    if entry.matches(['*', '?']).count() > 6 {
        return Some((false, "more than 6 wildcards, so it has no effect"));
    }
    let windows = spelt(image, "%windir%");
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
            found.push(format!("extension {entry} (applies to the whole machine)"));
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
    // What is hidden may be what fails.
    if let Some(hidden) = extensions.hidden.or(paths.hidden) {
        return Err(hidden);
    }
    match found.is_empty() {
        true => pass("nothing over-broad"),
        false => warn(seen),
    }
}

pub(in crate::golden_image) fn processes(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let told = exclusions(image, "Process");
    match told.hidden {
        Some(hidden) => Err(hidden),
        None => pass(format!(
            "optional; excluded processes: {}",
            list(&told.entries)
        )),
    }
}
