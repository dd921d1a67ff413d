//! One exclusion: its kind, its normalized form, and whether it is too broad.

use serde_json::Map;

use crate::golden_image::{
    item::{Outcome, not_assessable},
    machine::Image,
};

/// Longest folder that a variable stands for.
const MAX_FOLDER: usize = 260;

/// Longest path of Windows.
const MAX_PATH: usize = 32_767;

/// The known entries of an exclusion list.
pub(super) struct Exclusions {
    pub(super) entries: Vec<String>,
    /// The reason that there may be more entries; `None` when the list is complete.
    pub(super) hidden: Option<Outcome>,
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
pub(super) fn exclusions(image: &Image<'_>, kind: &str) -> Exclusions {
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

/// Normalizes paths as Defender compares them.
pub(super) struct Normalizer {
    /// The folders that variables stand for, by their names in lowercase.
    variables: Vec<(&'static str, String)>,
}

impl Normalizer {
    /// A normalizer with the folders of a machine. A folder that the evidence does not
    /// have, or that is not a plain path, is the usual one of Windows.
    pub(super) fn new(image: &Image<'_>) -> Self {
        let folder = |name: &str, usual: &str| {
            let known = image.evidence.text("host", name).unwrap_or_default();
            let known = known.trim_end_matches('\\').to_lowercase();
            let is_path = known.get(1..2) == Some(":") && known.len() <= MAX_FOLDER;
            match is_path && !known.contains('%') {
                true => known,
                false => usual.to_owned(),
            }
        };
        let windows = folder("windir", r"c:\windows");
        let drive = windows.get(..2).unwrap_or("c:").to_owned();
        let temp = folder("temp", &format!(r"{windows}\temp"));
        let data = folder("programData", r"c:\programdata");
        let variables = vec![
            ("windir", windows.clone()),
            ("systemroot", windows),
            ("systemdrive", drive.clone()),
            ("homedrive", drive.clone()),
            ("programdata", data.clone()),
            ("allusersprofile", data),
            ("programfiles", format!(r"{drive}\program files")),
            ("programw6432", format!(r"{drive}\program files")),
            ("programfiles(x86)", format!(r"{drive}\program files (x86)")),
            ("public", format!(r"{drive}\users\public")),
            ("temp", temp.clone()),
            ("tmp", temp),
        ];
        Self { variables }
    }

    /// An entry in lowercase, with variables expanded, and with slashes and prefixes as
    /// Windows reads them. Nothing longer than a path of Windows is expanded.
    pub(super) fn path(&self, entry: &str) -> String {
        let mut entry = entry.trim().to_lowercase().replace('/', "\\");
        for prefix in [r"\\?\unc", r"\\?", r"\\."] {
            if let Some(rest) = entry.strip_prefix(&format!(r"{prefix}\")) {
                let start = if prefix.ends_with("unc") { r"\\" } else { "" };
                entry = format!("{start}{rest}");
            }
        }
        if entry.len() <= MAX_PATH {
            entry = self.expanded(&entry);
        }
        while entry.contains(r"\.\") {
            entry = entry.replace(r"\.\", "\\");
        }
        match entry.strip_suffix(r"\.") {
            Some(rest) => rest.to_owned(),
            None => entry,
        }
    }

    /// The text with each variable replaced once; the values are not read again.
    fn expanded(&self, text: &str) -> String {
        let mut parts = text.split('%');
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        let mut parts = parts.peekable();
        while let Some(name) = parts.next() {
            let value = self.variables.iter().find(|(known, _)| *known == name);
            // A variable ends with a percent sign too.
            match value.filter(|_| parts.peek().is_some()) {
                Some((_, value)) => {
                    expanded.push_str(value);
                    expanded.push_str(parts.next().unwrap_or_default());
                }
                None => {
                    expanded.push('%');
                    expanded.push_str(name);
                }
            }
        }
        expanded
    }
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
pub(super) const RUNNABLE: [&str; 15] = [
    "", "exe", "dll", "sys", "com", "scr", "msi", "ps1", "bat", "cmd", "js", "vbs", "hta", "lnk",
    "zip",
];

/// The reason that an exclusion is too broad, and whether it fails the item.
pub(super) fn too_broad(
    image: &Image<'_>,
    paths: &Normalizer,
    entry: &str,
) -> Option<(bool, &'static str)> {
    let plain = paths.path(entry);
    // A pattern for every file of a folder means the folder.
    let path = plain.trim_end_matches(['*', '?', '.', '\\']);
    let (drive, below) = match path.split_once(':') {
        Some((drive, below)) if drive.len() == 1 => (drive, below),
        _ => ("", path),
    };
    if path.is_empty() || (!drive.is_empty() && below.is_empty()) {
        return Some((true, "an entire drive"));
    }
    if (!drive.is_empty() && OPEN_FOLDERS.contains(&below)) || path == paths.path("%TEMP%") {
        return Some((true, "a folder that malware often uses"));
    }
    if path == paths.path(r"%ProgramData%\FSLogix") {
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
    let windows = paths.path("%windir%");
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
