//! The checks of an image before it is sealed: GI.

use serde_json::{Map, Value};

use crate::{
    desktop::EntryModel,
    golden_image::{
        evidence::{Read, field, hidden, number},
        expectation::Startup,
        item::{Checked, fail, hold, not_assessable, pass, skip, warn},
        machine::{CMD, IDENTITIES, Image, POLICY, PS1, SENSOR, STATUS, SUBKEY, TAGGING, list},
    },
};

fn staged(image: &Image<'_>, script: &str) -> Checked {
    let files = image.evidence.texts("fs", "startup")?;
    let found = files.iter().any(|file| {
        let name = file.rsplit(['\\', '/']).next().unwrap_or_default();
        name.eq_ignore_ascii_case(script)
    });
    let by_task = match image.expected.startup {
        Startup::Domain if !found => {
            "; for a task of the domain, copy the files without registering them (stage-onboarding -NoRegistration)"
        }
        _ => "",
    };
    hold(found, format!("startup folder: {}{by_task}", list(&files)))
}

pub(in crate::golden_image) fn ps1_staged(image: &Image<'_>) -> Checked {
    match image.expected.entry {
        EntryModel::Single => staged(image, PS1),
        EntryModel::Multiple => skip("multiple device entries: only the .cmd file is staged"),
    }
}

pub(in crate::golden_image) fn cmd_staged(image: &Image<'_>) -> Checked {
    staged(image, CMD)
}

/// The startup section of a scripts file: its commands and their parameters.
struct StartUp {
    commands: Vec<String>,
    parameters: Vec<String>,
}

impl StartUp {
    /// Reads `psscripts.ini` or `scripts.ini`; a missing file counts as empty.
    fn read(image: &Image<'_>, file: &str) -> Read<Self> {
        let lines: Vec<String> = image
            .evidence
            .texts("gp", file)?
            .iter()
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let (mut starts, mut found) = (
            false,
            Self {
                commands: Vec::new(),
                parameters: Vec::new(),
            },
        );
        for line in lines {
            let line = line
                .trim()
                .trim_start_matches('\u{feff}')
                .to_ascii_lowercase();
            if line.starts_with('[') {
                starts = line == "[startup]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| starts) else {
                continue;
            };
            let name = key.trim().trim_start_matches(|c: char| c.is_ascii_digit());
            let is_numbered = key.trim().starts_with(|c: char| c.is_ascii_digit());
            match name {
                "cmdline" if is_numbered => found.commands.push(value.to_owned()),
                "parameters" if is_numbered => found.parameters.push(value.to_owned()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Returns true if a command runs this script.
    fn runs(&self, script: &str) -> bool {
        self.commands.iter().any(|command| {
            let name = command.trim().trim_matches('"');
            let name = name.rsplit(['\\', '/']).next().unwrap_or_default();
            name.eq_ignore_ascii_case(script)
        })
    }

    /// Returns true if a command or its parameters contain the name of this script.
    fn names(&self, script: &str) -> bool {
        let script = script.to_ascii_lowercase();
        let mut all = self.commands.iter().chain(&self.parameters);
        all.any(|text| text.contains(&script))
    }
}

/// The id of the extension of a local policy that runs its scripts.
const SCRIPTS_EXTENSION: &str = "{42b5faae-6536-11d2-ae5a-0000f87571e3}";

pub(in crate::golden_image) fn registered(image: &Image<'_>) -> Checked {
    if image.expected.startup == Startup::Domain {
        return skip("a task of the domain starts the onboarding");
    }
    let powershell = StartUp::read(image, "psscripts")?;
    let plain = StartUp::read(image, "scripts")?;
    let (right, unwanted) = match image.expected.entry {
        EntryModel::Single => (powershell.runs(PS1), plain.names(CMD)),
        EntryModel::Multiple => (plain.runs(CMD), powershell.names(PS1) || plain.names(PS1)),
    };
    let says = |listed| if listed { "lists" } else { "does not list" };
    let seen = format!(
        "psscripts.ini {} the .ps1, scripts.ini {} the .cmd",
        says(powershell.names(PS1)),
        says(plain.names(CMD))
    );
    let tasks = image.evidence.texts("gp", "tasks").unwrap_or_default();
    if !right || unwanted {
        let by_task = match tasks.as_slice() {
            [] => String::new(),
            tasks => format!("; started by a task: {} (--startup domain)", list(tasks)),
        };
        return fail(seen + &by_task);
    }
    if !tasks.is_empty() {
        return warn(format!(
            "{seen}; a task starts it too, so it runs twice: {} (--startup domain if the task is intended)",
            list(&tasks)
        ));
    }
    // Evidence from other collectors does not include it.
    match image.evidence.texts("gp", "gpt") {
        Ok(gpt)
            if !gpt
                .join("\n")
                .to_ascii_lowercase()
                .contains(SCRIPTS_EXTENSION) =>
        {
            warn(format!(
                "{seen}, but the local policy (gpt.ini) does not list its scripts, so they do not start: click OK in gpedit.msc > Startup"
            ))
        }
        _ => pass(seen),
    }
}

pub(in crate::golden_image) fn unsigned_may_run(image: &Image<'_>) -> Checked {
    if image.expected.entry == EntryModel::Multiple {
        return skip("multiple device entries: no PowerShell script runs");
    }
    let scopes = image.evidence.records("policy")?;
    let machine = scopes.iter().find(|scope| {
        matches!(field(scope, "Scope"), Some(Value::String(name)) if name.eq_ignore_ascii_case("MachinePolicy"))
            || field(scope, "Scope").and_then(number) == Some(4)
    });
    let machine = machine.ok_or_else(|| not_assessable("no MachinePolicy scope was collected"))?;
    let policy = match field(machine, "ExecutionPolicy") {
        Some(Value::String(policy)) => policy.clone(),
        Some(value) => match number(value) {
            Some(2) => "AllSigned".into(),
            Some(3) => "Restricted".into(),
            Some(0 | 1 | 4 | 5) => "Undefined or open".into(),
            _ => {
                return Err(not_assessable(
                    "the policy of the MachinePolicy scope is unknown",
                ));
            }
        },
        None => return Err(not_assessable("the MachinePolicy scope has no policy")),
    };
    let word = policy.trim().to_ascii_lowercase();
    // The default of clients is Restricted.
    let stops = ["allsigned", "restricted", "default"].contains(&word.as_str());
    let open = [
        "undefined",
        "unrestricted",
        "remotesigned",
        "bypass",
        "undefined or open",
    ];
    if !stops && !open.contains(&word.as_str()) {
        return Err(not_assessable(&format!(
            "MachinePolicy {policy} is not an execution policy"
        )));
    }
    match (stops, image.expected.startup) {
        (true, Startup::Domain) => warn(format!(
            "MachinePolicy {policy}; a task with -ExecutionPolicy Bypass does not override a policy"
        )),
        (stops, _) => hold(!stops, format!("MachinePolicy {policy}")),
    }
}

pub(in crate::golden_image) fn service(image: &Image<'_>, name: &str) -> Read<Option<String>> {
    let services = image.evidence.records("svc")?;
    let found = services.iter().find(|service| {
        matches!(field(service, "Name"), Some(Value::String(found)) if found.eq_ignore_ascii_case(name))
    });
    let Some(service) = found else {
        // A service without a name may be this one. When Defender's own service is
        // missing, others may be missing too.
        let name_of = |service: &Map<String, Value>| match field(service, "Name") {
            Some(Value::String(name)) if !name.is_empty() && !hidden(name) => {
                Some(name.to_ascii_lowercase())
            }
            _ => None,
        };
        let names: Vec<_> = services.iter().map(|service| name_of(service)).collect();
        let has_own = names.iter().flatten().any(|name| name == "windefend");
        if !has_own || names.iter().any(Option::is_none) {
            return Err(not_assessable(
                "not every service was collected: WinDefend is not among them",
            ));
        }
        return Ok(None);
    };
    let state = field(service, "State").or_else(|| field(service, "Status"));
    match state {
        Some(Value::String(state)) => Ok(Some(state.clone())),
        Some(value) => match number(value) {
            Some(1) => Ok(Some("Stopped".into())),
            Some(4) => Ok(Some("Running".into())),
            _ => Err(not_assessable(&format!("state of {name} is {value}"))),
        },
        None => Err(not_assessable(&format!(
            "state of {name} was not collected"
        ))),
    }
}

pub(in crate::golden_image) fn sensor_stopped(image: &Image<'_>) -> Checked {
    const MOVING: [&str; 6] = [
        "running",
        "start pending",
        "stop pending",
        "continue pending",
        "pause pending",
        "paused",
    ];
    match service(image, "Sense")? {
        None => pass("the Sense service does not exist"),
        Some(state) if state.eq_ignore_ascii_case("Stopped") => pass("Sense is stopped"),
        Some(state) if MOVING.contains(&state.to_ascii_lowercase().as_str()) => {
            fail(format!("Sense: {state}"))
        }
        Some(state) => Err(not_assessable(&format!("Sense: {state}"))),
    }
}

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

fn absent(image: &Image<'_>, key: &str, name: &str) -> Checked {
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

pub(in crate::golden_image) fn tagged(image: &Image<'_>) -> Checked {
    let tag = image.expected.tag.to_string();
    match image.evidence.registry(TAGGING, "Group")? {
        None => fail("no tag"),
        Some(Value::String(found)) if found.is_empty() => fail("no tag"),
        Some(Value::String(found)) if found.chars().count() > 200 => fail(format!(
            "the tag has {} characters; 200 are allowed",
            found.chars().count()
        )),
        Some(Value::String(found)) if found.contains(['(', ')', ',']) => fail(format!(
            "the tag {found} has a character that breaks the portal's filter"
        )),
        Some(Value::String(found)) => hold(*found == tag, format!("tag {found}, expected {tag}")),
        Some(other) => fail(format!("Group is not text: {other}")),
    }
}

pub(in crate::golden_image) fn no_legacy_tag(image: &Image<'_>) -> Checked {
    let found = image.evidence.registry(TAGGING, "VDI")?.is_some();
    if found && needs_unified(image)? {
        return warn("DeviceTagging\\VDI is present, which is correct only with the legacy agent");
    }
    hold(
        !found,
        if found {
            "DeviceTagging\\VDI is present"
        } else {
            "absent"
        },
    )
}

/// The major version, minor version and build, and whether Windows is a server.
fn windows(image: &Image<'_>) -> Read<(i64, i64, i64, bool)> {
    let version = image.evidence.text("os", "Version")?;
    let parts: Vec<i64> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    let [major, minor, build, ..] = parts.as_slice() else {
        return Err(not_assessable(&format!("os.Version is {version}")));
    };
    let product = image.evidence.number("os", "ProductType")?;
    Ok((*major, *minor, *build, product != 1))
}

fn needs_unified(image: &Image<'_>) -> Read<bool> {
    let (major, minor, build, server) = windows(image)?;
    Ok(server && ((major, minor) == (6, 3) || (major == 10 && build < 17_763)))
}

pub(in crate::golden_image) fn windows_supported(image: &Image<'_>) -> Checked {
    let (major, minor, build, server) = windows(image)?;
    let seen = format!(
        "Windows {major}.{minor}.{build}{}",
        if server { " (server)" } else { "" }
    );
    if needs_unified(image)? {
        return warn(format!(
            "{seen}: install the unified solution before onboarding"
        ));
    }
    if major < 10 || build < 14_393 {
        return fail(seen);
    }
    if build < 15_063 {
        return warn(format!(
            "{seen}: shared security intelligence needs 1703 or newer"
        ));
    }
    pass(seen)
}
