//! A Windows machine that runs scripts: Microsoft's `PowerShell` engine over a
//! simulated registry, drive and share.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::{package::repository, tools::outside};

pub const SENSOR: &str = r"HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection";

pub const POLICY: &str = r"HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection";

/// The path of the engine; `None` if there is none.
pub fn engine() -> Option<PathBuf> {
    outside(
        "shared/tools/pwsh-engine",
        "scripts: there is no PowerShell engine",
    )
}

/// A machine with a folder for its drive.
pub struct Machine {
    engine: PathBuf,
    root: tempfile::TempDir,
    pub elevated: bool,
}

/// A golden image before any configuration.
///
/// It is an installed Windows with `FSLogix` that was onboarded by mistake and
/// offboarded again.
impl Machine {
    pub fn neglected() -> Option<Self> {
        let root = tempfile::tempdir().expect("a folder");
        let machine = Self {
            engine: engine()?,
            root,
            elevated: true,
        };
        for folder in [
            "c/Windows/System32/GroupPolicy/Machine/Scripts",
            "c/state",
            "c/package",
            "c/ProgramData",
            "share",
            "c/Program Files",
        ] {
            fs::create_dir_all(machine.path(folder)).expect("a folder");
        }
        let cyber = machine
            .path("c/ProgramData/Microsoft/Windows Defender Advanced Threat Protection/Cyber/deep");
        fs::create_dir_all(&cyber).expect("a folder");
        fs::write(cyber.join("cache.bin"), "x").expect("written");
        fs::create_dir_all(machine.path("share/{00000000-0000-0000-0000-261124050000}"))
            .expect("a folder");
        for script in [
            "Onboard-NonPersistentMachine.ps1",
            "WindowsDefenderATPOnboardingScript.cmd",
        ] {
            fs::write(machine.path("c/package").join(script), "echo").expect("written");
        }
        machine.write("registry.json", &json!({
            SENSOR: { "senseGuid": "1", "senseId": "2", "7DC0B629-D7F6-4DB3-9BF7-64D5AAF50F1A": "3", "Keep": 1 },
            format!(r"{SENSOR}\Status"): { "OnboardingState": 0 },
            format!(r"{SENSOR}\48A68F11-7A16-4180-B32C-7F974C7BD783"): { "x": 1 },
            r"HKLM\SOFTWARE\FSLogix\Profiles": {
                "Enabled": 1,
                "VHDLocations": { "type": "MultiString", "value": [r"\\files\profiles"] },
                "CCDLocations": "type=smb,connectionString=\\\\files\\profiles;type=azure,connectionString=\"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=topsecret==\"",
            },
        }));
        let after_the_update = "2026-11-23T06:00:00Z";
        machine.write("c/state/system.json", &json!({
            "os": { "Caption": "Windows 11", "Version": "10.0.26100", "BuildNumber": "26100", "ProductType": 1, "OSArchitecture": "64-bit", "LastBootUpTime": "2026-11-23T04:00:00Z" },
            "services": [{ "Name": "Sense", "State": "Stopped", "StartMode": "Manual" }, { "Name": "frxsvc", "State": "Running", "StartMode": "Auto" }, { "Name": "WinDefend", "State": "Running", "StartMode": "Auto" }],
            "events": { "onboarding": null, "rename": null },
            "task": { "LastRunTime": after_the_update, "LastTaskResult": 0 },
        }));
        machine.write("c/state/status.json", &json!({
            "AMServiceEnabled": true, "AntivirusEnabled": true, "AMRunningMode": "Normal", "RealTimeProtectionEnabled": true,
            "OnAccessProtectionEnabled": true, "IoavProtectionEnabled": true, "BehaviorMonitorEnabled": true,
            "AntivirusSignatureAge": 0, "AntivirusSignatureLastUpdated": "2026-11-23T05:00:00Z", "IsTamperProtected": true,
        }));
        machine.write("c/state/preferences.json", &neglected_preferences());
        // The engine writes the registry in its own format.
        machine.run("$null", &[], &[]);
        Some(machine)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub fn write(&self, file: &str, value: &Value) {
        fs::write(self.path(file), value.to_string()).expect("written");
    }

    pub fn read(&self, file: &str) -> Value {
        json_of(&self.path(file))
    }

    /// Changes a JSON file.
    pub fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.read(file);
        change(&mut value);
        self.write(file, &value);
    }

    /// Runs a script; the registry keeps its changes.
    pub fn run(&self, script: &str, options: &[&str], arguments: &[&str]) -> Output {
        let file = self.path("script.ps1");
        fs::write(&file, script).expect("written");
        let registry = self.path("registry.json");
        let mut command = Command::new(&self.engine);
        command
            .arg("--stub")
            .arg(repository().join("tests/it/machine/stubs.ps1"))
            .arg("--registry")
            .arg(&registry)
            .arg("--registry-out")
            .arg(&registry)
            .arg("--drive")
            .arg(format!("C={}", self.path("c").display()))
            .arg("--unc")
            .arg(format!(
                r"\\files\wdav-update={}",
                self.path("share").display()
            ))
            .args(["--elevated", if self.elevated { "true" } else { "false" }])
            .args([
                "--env",
                r"windir=C:\Windows",
                "--env",
                r"ProgramData=C:\ProgramData",
                "--env",
                "COMPUTERNAME=IMG-01",
            ])
            .args([
                "--env",
                r"ProgramFiles=C:\Program Files",
                "--env",
                "SystemDrive=C:",
                "--json51",
            ])
            .args(options)
            .arg("-File")
            .arg(&file)
            .args(arguments);
        command.output().expect("the engine runs")
    }

    /// The complete state of the machine: registry and files.
    pub fn state(&self) -> String {
        let mut files = Vec::new();
        collect(self.root.path(), &mut files);
        files.sort();
        files.join("\n")
    }
}

/// Reads a JSON file, with or without a byte order mark.
fn json_of(path: &Path) -> Value {
    let text = fs::read(path).expect("a file");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    serde_json::from_slice(text).expect("JSON")
}

/// Settings of an image that was not configured.
fn neglected_preferences() -> Value {
    json!({
        "MAPSReporting": 0, "SubmitSamplesConsent": 2, "DisableBlockAtFirstSeen": true, "CloudBlockLevel": 0, "CloudExtendedTimeout": 0,
        "PUAProtection": 0, "EnableNetworkProtection": 0, "EnableFileHashComputation": false, "LowThreatDefaultAction": 6,
        "ModerateThreatDefaultAction": 0, "HighThreatDefaultAction": 9, "SevereThreatDefaultAction": 6, "SharedSignaturesPath": null,
        "SignatureFallbackOrder": "MicrosoftUpdateServer|MMPC", "SignatureUpdateInterval": 0, "DisableCacheMaintenance": true,
        "ExclusionPath": null, "ExclusionExtension": null, "ExclusionProcess": null, "RandomizeScheduleTaskTimes": false,
        "ScanAvgCPULoadFactor": 0, "ScanOnlyIfIdleEnabled": true, "DisableCpuThrottleOnIdleScans": true,
        "ScanScheduleQuickScanTime": "00:00:00", "ScanParameters": 2, "ScanScheduleDay": 1,
        "CheckForSignaturesBeforeRunningScan": false, "EnableLowCpuPriority": false, "ThrottleForScheduledScanOnly": false,
        "DisableRealtimeMonitoring": false, "DisableBehaviorMonitoring": false, "DisableIOAVProtection": false, "DisableScriptScanning": false,
    })
}

fn collect(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        into.push(format!("{} ", path.display()));
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "json") {
            // The order of keys and blanks may differ.
            let value = json_of(&path);
            into.push(format!("{} {value}", path.display()));
        } else if path.file_name().is_some_and(|name| name != "script.ps1") {
            into.push(format!(
                "{} {:?}",
                path.display(),
                fs::read(&path).expect("read")
            ));
        }
    }
}
