//! The package under test, made by the product's own packaging script.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The executable under test.
///
/// It is that of a release if `PACKAGED_EXECUTABLE` names one, else the one that
/// cargo built for the tests.
pub fn executable() -> PathBuf {
    let named = handler::config::environment()
        .get("PACKAGED_EXECUTABLE")
        .map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_defender-functions")))
}

/// Returns true if the executable under test is that of a release.
pub fn is_released() -> bool {
    handler::config::environment().contains_key("PACKAGED_EXECUTABLE")
}

/// Runs the packaging script, which writes the folder `out` and a zip next to it.
pub fn make(out: &Path, arguments: &[&str]) {
    let made = Command::new("python3")
        .arg(repository().join("infra/package.py"))
        .args([
            "--executable".as_ref(),
            executable().as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ])
        .args(arguments)
        .output()
        .expect("python3 runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// The zip next to a package's folder.
pub fn zip_of(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.zip", out.display()))
}

/// The zip of the package, made once per run.
pub fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("package-{}", std::process::id()));
        make(&out, &[]);
        zip_of(&out)
    })
}

/// The package unpacked from its zip, once per run.
pub fn unpacked() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        unpack_into(
            &PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("unpacked-{}", std::process::id())),
        )
    })
}

/// Unpacks the zip with the modes that are stored in it.
pub fn unpack_into(folder: &Path) -> PathBuf {
    let script = "import os, sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1]) as z:\n\
        \x20for i in z.infolist():\n\
        \x20\x20p = z.extract(i, sys.argv[2])\n\
        \x20\x20os.chmod(p, i.external_attr >> 16 & 0o777)\n";
    let unpacked = Command::new("python3")
        .args(["-c", script])
        .arg(archive())
        .arg(folder)
        .output()
        .expect("python3 runs");
    assert!(
        unpacked.status.success(),
        "{}",
        String::from_utf8_lossy(&unpacked.stderr)
    );
    folder.to_owned()
}
