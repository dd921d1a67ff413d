//! The checks of shared security intelligence and its cache: SI.

use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::golden_image::{
    checks::antivirus::switch,
    evidence::{Read, field, instant, items},
    item::{Checked, fail, hold, not_assessable, pass, skip, warn},
    machine::{Image, UPDATES},
};

/// The tolerance for a share whose clock is ahead.
const AHEAD: Duration = Duration::minutes(10);

fn shared_path(image: &Image<'_>) -> Read<String> {
    let set = image.evidence.text("mpPref", "SharedSignaturesPath");
    if let Ok(path) = &set
        && !path.trim().is_empty()
    {
        return Ok(path.trim().to_owned());
    }
    match image.evidence.registry(UPDATES, "SharedSignatureRoot") {
        Ok(Some(Value::String(path))) if !path.trim().is_empty() => Ok(path.trim().to_owned()),
        _ => set,
    }
}

pub(in crate::golden_image) fn shared_path_set(image: &Image<'_>) -> Checked {
    let path = shared_path(image)?;
    let is_unc = path
        .strip_prefix(r"\\")
        .filter(|rest| !rest.starts_with(['?', '.']))
        .is_some_and(|rest| {
            let mut parts = rest.split('\\');
            parts.next().is_some_and(|server| !server.is_empty())
                && parts.next().is_some_and(|share| !share.is_empty())
        });
    match path.is_empty() {
        true => fail("no shared path is set"),
        false => hold(is_unc, path),
    }
}

/// The times of the folders on the share with unpacked security intelligence.
fn packages(image: &Image<'_>) -> Read<Vec<OffsetDateTime>> {
    let share = match image.evidence.value("fs", "share")? {
        Some(Value::Object(share)) => share,
        _ => return Err(not_assessable("the share was not checked")),
    };
    let dirs = match field(share, "dirs") {
        Some(Value::String(text)) => return Err(not_assessable(text)),
        Some(dirs) => items(dirs),
        None => {
            return Err(not_assessable(
                "the folders of the share were not collected",
            ));
        }
    };
    Ok(dirs
        .iter()
        .filter_map(Value::as_object)
        .filter(|dir| matches!(field(dir, "name"), Some(Value::String(name)) if is_package(name)))
        .filter_map(|dir| field(dir, "lastWriteTime").and_then(instant))
        .collect())
}

fn is_package(name: &str) -> bool {
    let inner = name
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|id| id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()))
}

pub(in crate::golden_image) fn share_filled(image: &Image<'_>) -> Checked {
    if shared_path(image)?.is_empty() {
        return skip("no shared path is set");
    }
    let found = packages(image)?.len();
    hold(
        found > 0,
        format!("folders with unpacked security intelligence: {found}"),
    )
}

pub(in crate::golden_image) fn package_fresh(image: &Image<'_>) -> Checked {
    if shared_path(image)?.is_empty() {
        return skip("no shared path is set");
    }
    let Some(newest) = packages(image)?.into_iter().max() else {
        return fail("no folder with unpacked security intelligence");
    };
    let now = OffsetDateTime::parse(&image.evidence.collected_at(), &Rfc3339);
    let Ok(now) = now else {
        return Err(not_assessable(
            "the evidence does not say when it was collected",
        ));
    };
    let age = now - newest;
    let seen = format!("newest folder {} h old", age.whole_hours());
    if age < -AHEAD {
        return Err(not_assessable(
            "the time of the newest folder is in the future: check the clocks",
        ));
    }
    if age <= Duration::hours(24) {
        pass(seen)
    } else if age <= Duration::hours(72) {
        warn(seen)
    } else {
        fail(seen)
    }
}

pub(in crate::golden_image) fn fallback_order(image: &Image<'_>) -> Checked {
    if shared_path(image)?.is_empty() {
        return skip("no shared path is set");
    }
    let order = image.evidence.text("mpPref", "SignatureFallbackOrder")?;
    let plain: String = order.chars().filter(|c| !"{} ".contains(*c)).collect();
    let plain = plain.to_ascii_lowercase();
    let fits =
        plain.is_empty() || plain == "microsoftupdateserver|mmpc" || plain.contains("fileshares");
    if fits {
        return pass(if order.is_empty() { "default" } else { &order });
    }
    warn(format!(
        "{order}: the page for Windows Server 2025 says that a shared path turns the order off, the page for 2022 says that the path works only when the order contains FileShares"
    ))
}

pub(in crate::golden_image) fn update_interval(image: &Image<'_>) -> Checked {
    let hours = image.evidence.number("mpPref", "SignatureUpdateInterval")?;
    let seen = format!("every {hours} h");
    if (1..=8).contains(&hours) {
        pass(seen)
    } else {
        warn(seen)
    }
}

pub(in crate::golden_image) fn maintenance_run(image: &Image<'_>) -> Checked {
    let Some(run) = image.evidence.instant("task", "LastRunTime")? else {
        return fail("never ran");
    };
    if run.year() < 2_001 {
        return fail("never ran");
    }
    let result = image.evidence.number("task", "LastTaskResult")?;
    let updated = image
        .evidence
        .instant("mpStatus", "AntivirusSignatureLastUpdated")?;
    let at = run.format(&Rfc3339).unwrap_or_default();
    let seen = format!("last run {at}, result {result}");
    let now = OffsetDateTime::parse(&image.evidence.collected_at(), &Rfc3339);
    if now.is_ok_and(|now| run - now > AHEAD) {
        return Err(not_assessable(&format!(
            "{seen}: this time is in the future"
        )));
    }
    match updated {
        None => Err(not_assessable(&format!(
            "{seen}; the time of the last update of security intelligence was not collected"
        ))),
        Some(updated) if updated - run > Duration::SECOND => {
            fail(format!("{seen}; security intelligence is newer"))
        }
        Some(_) => hold(result == 0, seen),
    }
}

pub(in crate::golden_image) fn maintenance_on(image: &Image<'_>) -> Checked {
    let name = "DisableCacheMaintenance";
    match image.evidence.value("mpPref", name) {
        Err(_)
            if !image.evidence.has("mpPref", name)
                && image.evidence.number("mpPref", "MAPSReporting").is_ok() =>
        {
            pass("absent: enabled")
        }
        Ok(None) => pass("absent: enabled"),
        _ => switch(image, "DisableCacheMaintenance", false),
    }
}
