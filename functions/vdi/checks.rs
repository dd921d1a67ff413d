//! The pass conditions of the checklist, a function an item or family.

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    EntryModel, Evidence, Startup,
    assessment::{Expectation, State},
    evidence::{Read, field, hidden, instant, items, number},
};
use crate::report::text::visible;

/// `HKLM` key of the sensor.
const SENSOR: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection";
const STATUS: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\Status";
const SUBKEY: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection\48A68F11-7A16-4180-B32C-7F974C7BD783";
const POLICY: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";
const TAGGING: &str =
    r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging";
const PROFILES: &str = r"HKLM\SOFTWARE\FSLogix\Profiles";
const UPDATES: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Signature Updates";
const IDENTITIES: [&str; 3] = [
    "2567E824-34AB-4A74-90E9-BC0F8BDFAA4A",
    "7DC0B629-D7F6-4DB3-9BF7-64D5AAF50F1A",
    "C9D38BBB-E9DD-4B27-8E6F-7DE97E68DAB9",
];
const PS1: &str = "Onboard-NonPersistentMachine.ps1";
const CMD: &str = "WindowsDefenderATPOnboardingScript.cmd";

/// A machine and what is expected of it.
pub(super) struct Image<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) expected: &'a Expectation,
}

/// How an item came out, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) seen: String,
}

type Checked = Result<Outcome, Outcome>;

/// The evidence does not tell.
pub(super) fn not_assessable(seen: &str) -> Outcome {
    outcome(State::NotAssessable, seen)
}

fn outcome(state: State, seen: impl AsRef<str>) -> Outcome {
    let short: String = visible(seen.as_ref()).chars().take(600).collect();
    Outcome { state, seen: short }
}

fn pass(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Pass, seen))
}

fn warn(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Warn, seen))
}

fn fail(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::Fail, seen))
}

fn skip(seen: impl AsRef<str>) -> Checked {
    Ok(outcome(State::NotApplicable, seen))
}

fn hold(holds: bool, seen: impl AsRef<str>) -> Checked {
    if holds { pass(seen) } else { fail(seen) }
}

// Golden image.

fn staged(image: &Image<'_>, script: &str) -> Checked {
    let files = image.evidence.texts("fs", "startup")?;
    let found = files.iter().any(|file| {
        let name = file.rsplit(['\\', '/']).next().unwrap_or_default();
        name.eq_ignore_ascii_case(script)
    });
    hold(found, format!("start-up folder: {}", list(&files)))
}

pub(super) fn ps1_staged(image: &Image<'_>) -> Checked {
    match image.expected.entry {
        EntryModel::Single => staged(image, PS1),
        EntryModel::Multiple => skip("several entries a device: only the .cmd is staged"),
    }
}

pub(super) fn cmd_staged(image: &Image<'_>) -> Checked {
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

pub(super) fn registered(image: &Image<'_>) -> Checked {
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

pub(super) fn unsigned_may_run(image: &Image<'_>) -> Checked {
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

fn service(image: &Image<'_>, name: &str) -> Read<Option<String>> {
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

pub(super) fn sensor_stopped(image: &Image<'_>) -> Checked {
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

fn onboarding_state(image: &Image<'_>) -> Read<Option<i64>> {
    match image.evidence.registry(STATUS, "OnboardingState")? {
        None => Ok(None),
        Some(value) => number(value)
            .map(Some)
            .ok_or_else(|| not_assessable(&format!("OnboardingState is {value}"))),
    }
}

pub(super) fn not_onboarded(image: &Image<'_>) -> Checked {
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

pub(super) fn no_guid(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseGuid")
}

pub(super) fn no_id(image: &Image<'_>) -> Checked {
    absent(image, SENSOR, "senseId")
}

pub(super) fn no_identities(image: &Image<'_>) -> Checked {
    let mut found = Vec::new();
    for name in IDENTITIES {
        if image.evidence.registry(SENSOR, name)?.is_some() {
            found.push(name.to_owned());
        }
    }
    hold(found.is_empty(), format!("values left: {}", list(&found)))
}

pub(super) fn no_subkey(image: &Image<'_>) -> Checked {
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

pub(super) fn cache_empty(image: &Image<'_>) -> Checked {
    let files = image.evidence.number("fs", "cyberFileCount")?;
    hold(files == 0, format!("{files} files"))
}

pub(super) fn no_blob(image: &Image<'_>) -> Checked {
    absent(image, POLICY, "OnboardingInfo")
}

pub(super) fn tagged(image: &Image<'_>) -> Checked {
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

pub(super) fn no_legacy_tag(image: &Image<'_>) -> Checked {
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

pub(super) fn windows_supported(image: &Image<'_>) -> Checked {
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

// Antivirus.

fn all_true(image: &Image<'_>, names: &[&str]) -> Checked {
    let mut off = Vec::new();
    let mut unknown = None;
    for name in names {
        match image.evidence.bool("mpStatus", name) {
            Ok(true) => {}
            Ok(false) => off.push((*name).to_owned()),
            Err(outcome) => unknown = Some(outcome),
        }
    }
    match unknown {
        _ if !off.is_empty() => fail(format!("off: {}", off.join(", "))),
        Some(outcome) => Err(outcome),
        None => pass("on"),
    }
}

pub(super) fn antivirus_on(image: &Image<'_>) -> Checked {
    all_true(image, &["AMServiceEnabled", "AntivirusEnabled"])
}

pub(super) fn real_time(image: &Image<'_>) -> Checked {
    all_true(
        image,
        &[
            "RealTimeProtectionEnabled",
            "OnAccessProtectionEnabled",
            "IoavProtectionEnabled",
            "BehaviorMonitorEnabled",
        ],
    )
}

pub(super) fn active_mode(image: &Image<'_>) -> Checked {
    let mode = image.evidence.text("mpStatus", "AMRunningMode")?;
    let small = mode.to_lowercase();
    match small.as_str() {
        "normal" => pass(mode),
        "not running" => fail(mode),
        _ if small.contains("passive") || small.contains("edr") => {
            warn(format!("{mode}: file indicators are not enforced"))
        }
        _ => Err(not_assessable(&format!(
            "AMRunningMode is `{mode}`, which is not understood"
        ))),
    }
}

pub(super) fn signatures_fresh(image: &Image<'_>) -> Checked {
    match image.evidence.number("mpStatus", "AntivirusSignatureAge")? {
        4_294_967_295 | 65_535 | -1 => fail("never updated"),
        age @ 0..=1 => pass(format!("{age} days")),
        age @ 2..=3 => warn(format!("{age} days")),
        age => fail(format!("{age} days")),
    }
}

pub(super) fn tamper_protection(image: &Image<'_>) -> Checked {
    match (
        image.evidence.bool("mpStatus", "IsTamperProtected")?,
        image.is_golden(),
    ) {
        (true, _) => pass("on"),
        (false, true) => warn("off; the tenant turns it on once the machine is managed"),
        (false, false) => fail("off"),
    }
}

impl Image<'_> {
    fn is_golden(&self) -> bool {
        let role = self.expected.role.or_else(|| self.evidence.role());
        role != Some(super::Role::Pooled)
    }
}

fn one_of(image: &Image<'_>, name: &str, good: &[i64], fair: &[i64]) -> Checked {
    let value = image.evidence.number("mpPref", name)?;
    let seen = format!("{name} is {value}");
    if fair.contains(&value) {
        return warn(seen);
    }
    hold(good.contains(&value), seen)
}

pub(super) fn maps(image: &Image<'_>) -> Checked {
    one_of(image, "MAPSReporting", &[2], &[1])
}

pub(super) fn samples(image: &Image<'_>) -> Checked {
    one_of(image, "SubmitSamplesConsent", &[1, 3], &[])
}

fn switch(image: &Image<'_>, name: &str, good: bool) -> Checked {
    let value = image.evidence.bool("mpPref", name)?;
    hold(value == good, format!("{name} is {value}"))
}

pub(super) fn first_sight(image: &Image<'_>) -> Checked {
    switch(image, "DisableBlockAtFirstSeen", false)
}

pub(super) fn cloud_level(image: &Image<'_>) -> Checked {
    let level = image.evidence.number("mpPref", "CloudBlockLevel")?;
    let seconds = image.evidence.number("mpPref", "CloudExtendedTimeout")?;
    hold(
        level >= 2 && seconds >= 20,
        format!("CloudBlockLevel {level}, CloudExtendedTimeout {seconds} s"),
    )
}

pub(super) fn unwanted(image: &Image<'_>) -> Checked {
    one_of(image, "PUAProtection", &[1], &[2])
}

pub(super) fn network(image: &Image<'_>) -> Checked {
    one_of(image, "EnableNetworkProtection", &[1, 2], &[])
}

pub(super) fn file_hashes(image: &Image<'_>) -> Checked {
    match image.evidence.bool("mpPref", "EnableFileHashComputation")? {
        true => pass("on"),
        false => warn("off; needed when the tenant blocks files by hash"),
    }
}

pub(super) fn default_actions(image: &Image<'_>) -> Checked {
    let mut seen = Vec::new();
    let mut good = true;
    for threat in ["Low", "Moderate", "High", "Severe"] {
        let action = image
            .evidence
            .number("mpPref", &format!("{threat}ThreatDefaultAction"))?;
        good &= [0, 2].contains(&action);
        seen.push(format!("{threat} {action}"));
    }
    hold(good, seen.join(", "))
}

// Shared security intelligence.

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

pub(super) fn shared_path_set(image: &Image<'_>) -> Checked {
    let path = shared_path(image)?;
    let is_unc = path.strip_prefix(r"\\").is_some_and(|rest| {
        let mut parts = rest.split('\\');
        parts.next().is_some_and(|server| !server.is_empty())
            && parts.next().is_some_and(|share| !share.is_empty())
    });
    match path.is_empty() {
        true => fail("no shared path is set"),
        false => hold(is_unc, path),
    }
}

/// Times of the folders on the share that hold unpacked intelligence.
fn packages(image: &Image<'_>) -> Read<Vec<OffsetDateTime>> {
    let share = match image.evidence.value("fs", "share")? {
        Some(Value::Object(share)) => share,
        _ => return Err(not_assessable("the share was not looked at")),
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

pub(super) fn share_filled(image: &Image<'_>) -> Checked {
    if shared_path(image)?.is_empty() {
        return skip("no shared path is set");
    }
    let found = packages(image)?.len();
    hold(
        found > 0,
        format!("folders with unpacked intelligence: {found}"),
    )
}

pub(super) fn package_fresh(image: &Image<'_>) -> Checked {
    if shared_path(image)?.is_empty() {
        return skip("no shared path is set");
    }
    let Some(newest) = packages(image)?.into_iter().max() else {
        return fail("no folder with unpacked intelligence");
    };
    let now = OffsetDateTime::parse(&image.evidence.collected_at(), &Rfc3339);
    let Ok(now) = now else {
        return Err(not_assessable(
            "the evidence does not say when it was collected",
        ));
    };
    let hours = (now - newest).whole_hours();
    let seen = format!("newest folder {hours} h old");
    match hours {
        ..=24 => pass(seen),
        25..=72 => warn(seen),
        _ => fail(seen),
    }
}

pub(super) fn fallback_order(image: &Image<'_>) -> Checked {
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
        "{order}: Windows Server 2025's page says that a shared path turns the order off, 2022's that the path works only with FileShares in it"
    ))
}

pub(super) fn update_interval(image: &Image<'_>) -> Checked {
    let hours = image.evidence.number("mpPref", "SignatureUpdateInterval")?;
    let seen = format!("every {hours} h");
    if (1..=8).contains(&hours) {
        pass(seen)
    } else {
        warn(seen)
    }
}

pub(super) fn maintenance_run(image: &Image<'_>) -> Checked {
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
    match updated {
        Some(updated) if run + Duration::SECOND < updated => {
            fail(format!("{seen}; security intelligence is newer"))
        }
        _ => hold(result == 0, seen),
    }
}

pub(super) fn maintenance_on(image: &Image<'_>) -> Checked {
    match image.evidence.value("mpPref", "DisableCacheMaintenance") {
        Err(_) if image.evidence.number("mpPref", "MAPSReporting").is_ok() => {
            pass("absent: enabled")
        }
        Ok(None) => pass("absent: enabled"),
        _ => switch(image, "DisableCacheMaintenance", false),
    }
}

// FSLogix.

fn in_use(image: &Image<'_>) -> Read<bool> {
    let service = service(image, "frxsvc")?;
    let Some(profiles) = image.evidence.key(PROFILES)? else {
        return Ok(service.is_some());
    };
    let enabled = field(profiles, "Enabled").and_then(number);
    Ok(service.is_some() || enabled == Some(1))
}

pub(super) fn fslogix(image: &Image<'_>) -> Checked {
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

pub(super) fn temp_patterns(image: &Image<'_>) -> Checked {
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

pub(super) fn share_patterns(image: &Image<'_>) -> Checked {
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

pub(super) fn lock_patterns(image: &Image<'_>) -> Checked {
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

pub(super) fn cloud_cache(image: &Image<'_>) -> Checked {
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

pub(super) fn nothing_broad(image: &Image<'_>) -> Checked {
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

pub(super) fn processes(image: &Image<'_>) -> Checked {
    with_fslogix!(image);
    let entries = exclusions(image, "Process")?;
    pass(format!("optional; excluded processes: {}", list(&entries)))
}

// Scans.

pub(super) fn randomised(image: &Image<'_>) -> Checked {
    switch(image, "RandomizeScheduleTaskTimes", true)
}

pub(super) fn cpu_factor(image: &Image<'_>) -> Checked {
    match image.evidence.number("mpPref", "ScanAvgCPULoadFactor")? {
        0 => fail("0: no limit"),
        percent @ 5..=30 => pass(format!("{percent} %; scans take longer below 50 %")),
        percent @ 31..=50 => pass(format!("{percent} %")),
        percent @ 51..=100 => warn(format!("{percent} %")),
        other => fail(format!("{other} is no valid limit")),
    }
}

pub(super) fn throttle_effective(image: &Image<'_>) -> Checked {
    let idle_only = image.evidence.bool("mpPref", "ScanOnlyIfIdleEnabled")?;
    let unthrottled = image
        .evidence
        .bool("mpPref", "DisableCpuThrottleOnIdleScans")?;
    let seen =
        format!("ScanOnlyIfIdleEnabled {idle_only}, DisableCpuThrottleOnIdleScans {unthrottled}");
    if idle_only && unthrottled {
        return warn(format!(
            "{seen}: ScanAvgCPULoadFactor is ignored; both are Windows' defaults"
        ));
    }
    pass(seen)
}

pub(super) fn quick_scan(image: &Image<'_>) -> Checked {
    let seconds = image
        .evidence
        .time_of_day("mpPref", "ScanScheduleQuickScanTime")?;
    let seen = format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
    match seconds {
        0 => fail("00:00: off"),
        1..=21_599 | 72_000.. => pass(format!(
            "{seen}; pools are often off at this time, 12:00 is advised"
        )),
        _ => pass(seen),
    }
}

pub(super) fn no_full_scan(image: &Image<'_>) -> Checked {
    let kind = image.evidence.number("mpPref", "ScanParameters")?;
    let day = image.evidence.number("mpPref", "ScanScheduleDay")?;
    let seen = format!("ScanParameters {kind}, ScanScheduleDay {day}");
    if kind == 2 && day != 8 {
        warn(seen)
    } else {
        pass(seen)
    }
}

pub(super) fn signatures_first(image: &Image<'_>) -> Checked {
    switch(image, "CheckForSignaturesBeforeRunningScan", true)
}

pub(super) fn priority(image: &Image<'_>) -> Checked {
    let low = image.evidence.bool("mpPref", "EnableLowCpuPriority")?;
    let scheduled = image
        .evidence
        .bool("mpPref", "ThrottleForScheduledScanOnly")?;
    pass(format!(
        "EnableLowCpuPriority {low}, ThrottleForScheduledScanOnly {scheduled}"
    ))
}

// Pooled machine.

pub(super) fn onboarded(image: &Image<'_>) -> Checked {
    let sense = service(image, "Sense")?.unwrap_or_else(|| "absent".into());
    let state = onboarding_state(image)?;
    let told = state.map_or_else(|| "absent".into(), |state| state.to_string());
    hold(
        sense.eq_ignore_ascii_case("Running") && state == Some(1),
        format!("Sense {sense}, OnboardingState {told}"),
    )
}

pub(super) fn onboarded_last(image: &Image<'_>) -> Checked {
    let Some(onboarding) = image.evidence.instant("events", "onboarding")? else {
        return fail("no WDATPOnboarding event");
    };
    let boot = image.evidence.instant("events", "boot")?;
    let boot =
        boot.ok_or_else(|| not_assessable("the time of the last start was not collected"))?;
    let rename = image.evidence.instant("events", "rename")?;
    let last = rename.map_or(boot, |rename| rename.max(boot));
    hold(
        onboarding > last,
        format!("onboarded {onboarding}, last rename or start {last}"),
    )
}

/// A list for a person, cut where it gets long.
fn list(texts: &[String]) -> String {
    const MOST: usize = 12;
    match texts.len() {
        0 => "none".into(),
        count if count > MOST => format!("{} and {} more", texts[..MOST].join(", "), count - MOST),
        _ => texts.join(", "),
    }
}
