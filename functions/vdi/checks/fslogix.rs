//! Exclusions for profile containers: FX.

use super::*;

fn in_use(image: &Image<'_>) -> Read<bool> {
    let service = service(image, "frxsvc")?;
    let Some(profiles) = image.evidence.key(PROFILES)? else {
        return Ok(service.is_some());
    };
    let enabled = field(profiles, "Enabled").and_then(number);
    Ok(service.is_some() || enabled == Some(1))
}

pub(in crate::vdi) fn fslogix(image: &Image<'_>) -> Checked {
    match in_use(image)? {
        true => pass("FSLogix is in use"),
        false => skip("FSLogix is not in use"),
    }
}

/// In another language the refusal to show exclusions does not start with `N/A:`.
fn is_sentence(entry: &str) -> bool {
    entry.trim().matches(' ').count() >= 3 && !entry.contains(['\\', '%', '*', '?'])
}

/// Entries of an exclusion list, from the registry where Windows hides them.
fn exclusions(image: &Image<'_>, kind: &str) -> Read<Vec<String>> {
    let shown = image.evidence.texts("mpPref", &format!("Exclusion{kind}"));
    let shown = shown.and_then(
        |entries| match entries.iter().find(|entry| is_sentence(entry)) {
            Some(sentence) => Err(not_assessable(sentence)),
            None => Ok(entries),
        },
    );
    let Err(hidden) = shown else {
        return shown;
    };
    let name = if kind == "Process" {
        "Processes".to_owned()
    } else {
        format!("{kind}s")
    };
    let mut entries = Vec::new();
    let mut looked = false;
    for root in [
        r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender",
        r"HKLM\SOFTWARE\Microsoft\Windows Defender",
    ] {
        if let Ok(key) = image.evidence.key(&format!(r"{root}\Exclusions\{name}")) {
            looked = true;
            entries.extend(key.into_iter().flat_map(Map::keys).cloned());
        }
    }
    if looked { Ok(entries) } else { Err(hidden) }
}

/// An exclusion as Defender compares it: lower case, variables spelt out.
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
    let temp = folder("temp", &format!(r"{windows}\temp"));
    let data = folder("programData", r"c:\programdata");
    let entry = entry.trim().to_lowercase();
    let entry = entry
        .replace("%windir%", &windows)
        .replace("%systemroot%", &windows);
    let entry = entry
        .replace("%programdata%", &data)
        .replace("%allusersprofile%", &data);
    entry.replace("%temp%", &temp).replace("%tmp%", &temp)
}

/// Which patterns no exclusion has.
fn missing(image: &Image<'_>, wanted: &[String]) -> Read<Vec<String>> {
    let entries = exclusions(image, "Path")?;
    let entries: Vec<String> = entries.iter().map(|entry| spelt(image, entry)).collect();
    Ok(wanted
        .iter()
        .filter(|pattern| {
            let pattern = spelt(image, pattern);
            let folder = pattern.trim_end_matches(r"\*").to_owned();
            let is_folder = folder != pattern;
            !entries.iter().any(|entry| {
                let entry = entry.trim_end_matches('\\');
                entry == pattern || (is_folder && entry == folder)
            })
        })
        .cloned()
        .collect())
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

pub(in crate::vdi) fn temp_patterns(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let wanted = [
        r"%TEMP%\*\*.VHD",
        r"%TEMP%\*\*.VHDX",
        r"%Windir%\TEMP\*\*.VHD",
        r"%Windir%\TEMP\*\*.VHDX",
    ];
    covered(image, &wanted.map(str::to_owned))
}

/// Shares on which profiles lie.
fn locations(image: &Image<'_>) -> Read<Vec<String>> {
    let mut found = Vec::new();
    for name in ["VHDLocations", "CCDLocations"] {
        let Some(value) = image.evidence.registry(PROFILES, name)? else {
            continue;
        };
        for text in items(value).iter().filter_map(Value::as_str) {
            for part in text.split(';') {
                let path = part
                    .rsplit_once("connectionString=")
                    .map_or(part, |(_, path)| path);
                let path = path.trim().trim_matches('"').trim_end_matches('\\');
                if path.starts_with(r"\\") || path.get(1..2) == Some(":") {
                    found.push(path.to_owned());
                }
            }
        }
    }
    if found.is_empty() {
        return Err(not_assessable(
            "VHDLocations and CCDLocations name no share",
        ));
    }
    Ok(found)
}

fn on_each(image: &Image<'_>, endings: &[&str]) -> Read<Vec<String>> {
    let places = locations(image)?;
    let patterns = places.iter().flat_map(|place| {
        endings
            .iter()
            .map(move |ending| format!(r"{place}\*\*.{ending}"))
    });
    Ok(patterns.collect())
}

pub(in crate::vdi) fn share_patterns(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let missing = missing(image, &on_each(image, &["VHD", "VHDX"])?)?;
    if missing.is_empty() {
        return pass("all excluded");
    }
    let entries = exclusions(image, "Path")?;
    let shallow = locations(image)?.iter().any(|place| {
        let start = format!(r"{}\*.vhd", place.to_lowercase());
        entries
            .iter()
            .any(|entry| entry.to_lowercase().starts_with(&start))
    });
    let why = if shallow {
        "; a pattern such as \\\\server\\share\\*.VHDX matches only files in the last folder, and containers lie one folder down"
    } else {
        ""
    };
    fail(format!("not excluded: {}{why}", list(&missing)))
}

pub(in crate::vdi) fn lock_patterns(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let endings = [
        "VHD.lock",
        "VHD.meta",
        "VHD.metadata",
        "VHDX.lock",
        "VHDX.meta",
        "VHDX.metadata",
    ];
    covered(image, &on_each(image, &endings)?)
}

pub(in crate::vdi) fn cloud_cache(image: &Image<'_>) -> Checked {
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

/// Why an exclusion is too broad, and whether that fails.
fn too_broad(image: &Image<'_>, entry: &str) -> Option<(bool, &'static str)> {
    let path = spelt(image, entry);
    let path = path.trim_end_matches(['*', '\\']);
    let whole = [
        "c:\\users",
        "c:\\windows",
        "c:\\windows\\temp",
        "c:\\programdata",
        "c:\\program files",
        "c:\\program files (x86)",
    ];
    if path.is_empty() || (path.len() == 2 && path.ends_with(':')) {
        return Some((true, "a whole drive"));
    }
    if whole.contains(&path) || path == spelt(image, "%TEMP%") {
        return Some((true, "a folder that anybody's malware uses"));
    }
    if path == spelt(image, r"%ProgramData%\FSLogix") {
        return Some((false, "only Cache and Proxy are needed"));
    }
    if entry.matches('*').count() > 6 {
        return Some((false, "more than 6 wildcards, so it has no effect"));
    }
    let drives = image.evidence.texts("fs", "localDrives").ok()?;
    let (letter, _) = path.split_once(':')?;
    let is_local = drives.iter().any(|drive| {
        drive
            .trim_end_matches([':', '\\'])
            .eq_ignore_ascii_case(letter)
    });
    (letter.len() == 1 && !drives.is_empty() && !is_local)
        .then_some((false, "a mapped drive; use the UNC path"))
}

pub(in crate::vdi) fn nothing_broad(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let mut found = Vec::new();
    let mut fails = false;
    for entry in exclusions(image, "Extension")? {
        let ending = entry.trim_start_matches(['*', '.']).to_lowercase();
        if ending.starts_with("vhd") {
            found.push(format!("extension {entry} (applies to the whole machine)"));
        }
    }
    for entry in exclusions(image, "Path")? {
        if let Some((grave, why)) = too_broad(image, &entry) {
            fails |= grave;
            found.push(format!("{entry} ({why})"));
        }
    }
    let seen = list(&found);
    match (found.is_empty(), fails) {
        (true, _) => pass("nothing over-broad"),
        (false, false) => warn(seen),
        (false, true) => fail(seen),
    }
}

pub(in crate::vdi) fn processes(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let entries = exclusions(image, "Process")?;
    pass(format!("optional; excluded processes: {}", list(&entries)))
}
