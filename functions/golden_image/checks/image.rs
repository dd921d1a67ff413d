//! The checks of an image before it is sealed: GI.

mod identity;
mod start_up;

use serde_json::{Map, Value};

use crate::golden_image::{
    evidence::{Read, field, hidden, number},
    item::{Checked, fail, hold, not_assessable, pass, warn},
    machine::{Image, TAGGING},
};

pub(in crate::golden_image) use identity::{
    cache_empty, no_blob, no_guid, no_id, no_identities, no_subkey, not_onboarded, onboarding_state,
};
pub(in crate::golden_image) use start_up::{cmd_staged, ps1_staged, registered, unsigned_may_run};

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
