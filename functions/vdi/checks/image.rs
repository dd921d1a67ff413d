//! What an image must be like before it is sealed: GI.

use super::*;

fn staged(image: &Image<'_>, script: &str) -> Checked {
    let files = image.evidence.texts("fs", "startup")?;
    let found = files.iter().any(|file| {
        let name = file.rsplit(['\\', '/']).next().unwrap_or_default();
        name.eq_ignore_ascii_case(script)
    });
    hold(found, format!("start-up folder: {}", list(&files)))
}

pub(in crate::vdi) fn ps1_staged(image: &Image<'_>) -> Checked {
    match image.expected.entry {
        EntryModel::Single => staged(image, PS1),
        EntryModel::Multiple => skip("several entries a device: only the .cmd is staged"),
    }
}

pub(in crate::vdi) fn cmd_staged(image: &Image<'_>) -> Checked {
    staged(image, CMD)
}

/// Whether the start-up section of a scripts file runs a script.
fn lists(file: &str, script: &str) -> bool {
    let mut starts = true;
    let script = script.to_ascii_lowercase();
    file.lines().any(|line| {
        let line = line
            .trim()
            .trim_start_matches('\u{feff}')
            .to_ascii_lowercase();
        if line.starts_with('[') {
            starts = line == "[startup]";
        }
        starts && line.contains("cmdline") && line.contains(&script)
    })
}

pub(in crate::vdi) fn registered(image: &Image<'_>) -> Checked {
    if image.expected.startup == Startup::Domain {
        return skip("a task of the domain starts the onboarding");
    }
    let powershell = image.evidence.text("gp", "psscripts")?;
    let plain = image.evidence.text("gp", "scripts")?;
    let (ps1, cmd) = (lists(&powershell, PS1), lists(&plain, CMD));
    let right = match image.expected.entry {
        EntryModel::Single => ps1 && !cmd,
        EntryModel::Multiple => cmd && !ps1,
    };
    let tasks = image.evidence.texts("gp", "tasks").unwrap_or_default();
    let task = match tasks.as_slice() {
        [] => String::new(),
        tasks => format!("; started by a task: {} (--startup domain)", list(tasks)),
    };
    let says = |listed| if listed { "lists" } else { "does not list" };
    hold(
        right,
        format!(
            "psscripts.ini {} the .ps1, scripts.ini {} the .cmd{task}",
            says(ps1),
            says(cmd)
        ),
    )
}

pub(in crate::vdi) fn unsigned_may_run(image: &Image<'_>) -> Checked {
    if image.expected.entry == EntryModel::Multiple {
        return skip("several entries a device: no PowerShell script is run");
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
            _ => return Err(not_assessable("the MachinePolicy scope is not understood")),
        },
        None => return Err(not_assessable("the MachinePolicy scope has no policy")),
    };
    let stops = ["allsigned", "restricted"].contains(&policy.to_ascii_lowercase().as_str());
    match (stops, image.expected.startup) {
        (true, Startup::Domain) => warn(format!(
            "MachinePolicy {policy}; a task with -ExecutionPolicy Bypass does not win over a policy"
        )),
        (stops, _) => hold(!stops, format!("MachinePolicy {policy}")),
    }
}

pub(super) fn service(image: &Image<'_>, name: &str) -> Read<Option<String>> {
    let services = image.evidence.records("svc")?;
    let found = services.iter().find(|service| {
        matches!(field(service, "Name"), Some(Value::String(found)) if found.eq_ignore_ascii_case(name))
    });
    let Some(service) = found else {
        // Defender's own is always there; one whose name is not told may be the one.
        let is_named = |service: &&Map<String, Value>| matches!(field(service, "Name"), Some(Value::String(name)) if !name.is_empty() && !hidden(name));
        if services.is_empty() || !services.iter().all(is_named) {
            return Err(not_assessable("not every service was collected"));
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

pub(in crate::vdi) fn sensor_stopped(image: &Image<'_>) -> Checked {
    const MOVING: [&str; 6] = [
        "running",
        "start pending",
        "stop pending",
        "continue pending",
        "pause pending",
        "paused",
    ];
    match service(image, "Sense")? {
        None => pass("there is no service Sense"),
        Some(state) if state.eq_ignore_ascii_case("Stopped") => pass("Sense is stopped"),
        Some(state) if MOVING.contains(&state.to_ascii_lowercase().as_str()) => {
            fail(format!("Sense: {state}"))
        }
        Some(state) => Err(not_assessable(&format!("Sense: {state}"))),
    }
}

pub(super) fn onboarding_state(image: &Image<'_>) -> Read<Option<i64>> {
    match image.evidence.registry(STATUS, "OnboardingState")? {
        None => Ok(None),
        Some(value) => number(value)
            .map(Some)
            .ok_or_else(|| not_assessable(&format!("OnboardingState is {value}"))),
    }
}

pub(in crate::vdi) fn not_onboarded(image: &Image<'_>) -> Checked {
    match onboarding_state(image)? {
        None => pass("OnboardingState is absent"),
        Some(state) => hold(state == 0, format!("OnboardingState is {state}")),
    }
}

fn absent(image: &Image<'_>, key: &str, name: &str) -> Checked {
    let found = image.evidence.registry(key, name)?.is_some();
    hold(
        !found,
        format!("{name} is {}", if found { "there" } else { "absent" }),
    )
}

pub(in crate::vdi) fn no_guid(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseGuid")
}

pub(in crate::vdi) fn no_id(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseId")
}

pub(in crate::vdi) fn no_identities(image: &Image<'_>) -> Checked {
    let mut found = Vec::new();
    for name in IDENTITIES {
        if image.evidence.registry(SENSOR, name)?.is_some() {
            found.push(name.to_owned());
        }
    }
    hold(found.is_empty(), format!("values left: {}", list(&found)))
}

pub(in crate::vdi) fn no_subkey(image: &Image<'_>) -> Checked {
    let found = image.evidence.key(SUBKEY)?.is_some();
    hold(
        !found,
        if found {
            "the subkey is there"
        } else {
            "the subkey is absent"
        },
    )
}

pub(in crate::vdi) fn cache_empty(image: &Image<'_>) -> Checked {
    let files = image.evidence.number("fs", "cyberFileCount")?;
    hold(files == 0, format!("{files} files"))
}

pub(in crate::vdi) fn no_blob(image: &Image<'_>) -> Checked {
    absent(image, POLICY, "OnboardingInfo")
}

pub(in crate::vdi) fn tagged(image: &Image<'_>) -> Checked {
    let tag = image.expected.tag.to_string();
    match image.evidence.registry(TAGGING, "Group")? {
        None => fail("no tag"),
        Some(Value::String(found)) if found.is_empty() => fail("no tag"),
        Some(Value::String(found)) if found.chars().count() > 200 => fail(format!(
            "a tag of {} characters, 200 are allowed",
            found.chars().count()
        )),
        Some(Value::String(found)) if found.contains(['(', ')', ',']) => fail(format!(
            "tag {found} has a character that breaks the portal's filter"
        )),
        Some(Value::String(found)) => hold(*found == tag, format!("tag {found}, expected {tag}")),
        Some(other) => fail(format!("Group is no text: {other}")),
    }
}

pub(in crate::vdi) fn no_legacy_tag(image: &Image<'_>) -> Checked {
    let found = image.evidence.registry(TAGGING, "VDI")?.is_some();
    if found && needs_unified(image)? {
        return warn("DeviceTagging\\VDI is there; right only with the legacy agent");
    }
    hold(
        !found,
        if found {
            "DeviceTagging\\VDI is there"
        } else {
            "absent"
        },
    )
}

/// Major version, build and whether it is a server.
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

pub(in crate::vdi) fn windows_supported(image: &Image<'_>) -> Checked {
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
