//! Tools of other languages that tests run: installed on first use, from the
//! package registries, at pinned versions.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use super::package::repository;

/// One installation at a time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// `tests/{name}` with the packages of its lock file.
pub fn node_folder(name: &str) -> PathBuf {
    let folder = repository().join("tests").join(name);
    let _alone = INSTALLING.lock();
    if !folder.join("node_modules/.package-lock.json").is_file() {
        let npm = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output();
        let npm = npm.expect("npm runs");
        assert!(npm.status.success(), "npm ci in tests/{name}: {npm:?}");
    }
    folder
}

/// A command of the packages in `tests/{name}/requirements.txt`.
pub fn python_command(name: &str, command: &str) -> Command {
    let requirements = repository()
        .join("tests")
        .join(name)
        .join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).expect("a list");
    let folder = repository().join("target/python").join(name);
    let _alone = INSTALLING.lock();
    let installed = std::fs::read_to_string(folder.join("installed")).unwrap_or_default();
    if installed != wanted {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements));
        std::fs::write(folder.join("installed"), wanted).expect("written");
    }
    Command::new(folder.join("bin").join(command))
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        said(&output.stdout),
        said(&output.stderr)
    );
    output
}

/// A command `az` that a script implements, in a separate folder.
pub struct AzureCli {
    /// The folder; a script may record there what it was asked.
    pub folder: tempfile::TempDir,
    /// `PATH` with `az` and the tools of a shell.
    pub path: String,
}

impl AzureCli {
    /// An `az` that this Bash script, without its first line, implements.
    pub fn answering(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let az = folder.path().join("az");
        std::fs::write(&az, format!("#!/usr/bin/env bash\n{script}")).expect("a file");
        run(Command::new("chmod").arg("+x").arg(&az));
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        Self { folder, path }
    }

    /// Runs a command line in the folder; returns the script's note `asked`.
    pub fn asked_by(&self, line: &str) -> String {
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).current_dir(self.folder.path());
        run(shell.env("PATH", &self.path));
        std::fs::read_to_string(self.file("asked")).expect("it was asked")
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// A file next to the repository that only some machines have.
///
/// If it is missing, the end of the run lists `what` it is for.
pub fn outside(path: &str, what: &str) -> Option<PathBuf> {
    let file = repository().join("..").join(path);
    if file.is_file() {
        return Some(file);
    }
    not_run(what);
    None
}

/// Adds a line to the list of what did not run.
pub fn not_run(what: &str) {
    // Cargo creates this folder of its target for integration tests.
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("not-run.txt");
    let mut list = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(list)
        .expect("a list of what was left out");
    writeln!(list, "{what}").expect("written");
}
