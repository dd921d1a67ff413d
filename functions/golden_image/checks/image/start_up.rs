//! The onboarding script: staged, registered, and allowed to run.

use serde_json::Value;

use crate::{
    desktop::EntryModel,
    golden_image::{
        evidence::{Read, field, number},
        expectation::Startup,
        item::{Checked, fail, hold, not_assessable, pass, skip, warn},
        machine::{CMD, Image, PS1, list},
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
