//! Tools of other languages that tests run: installed on their first use, from
//! the package registries, at the versions that are written down here.

use std::{
    path::PathBuf,
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

/// Runs a command that has to succeed.
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
