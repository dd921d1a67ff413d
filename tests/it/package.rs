//! The deployable package: its contents, and that it runs.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::support::{App, app::MALWARE, package};

/// Names and modes of the zip, as Python's zip reader reads them.
fn zip_entries() -> Vec<(String, u32)> {
    let script = "import json, sys, zipfile\n\
        print(json.dumps([[i.filename, i.external_attr >> 16] for i in zipfile.ZipFile(sys.argv[1]).infolist()]))";
    let listed = Command::new("python3")
        .args(["-c", script])
        .arg(package::archive())
        .output()
        .expect("python3 runs");
    let listed: Vec<(String, u32)> = serde_json::from_slice(&listed.stdout).expect("a list");
    listed
}

#[test]
fn the_zip_holds_the_executable_the_host_settings_and_a_folder_for_each_function() {
    let names: BTreeSet<String> = zip_entries().into_iter().map(|(name, _)| name).collect();
    let functions = std::fs::read_dir(package::repository().join("functions"))
        .unwrap()
        .flatten();
    let functions = functions.flat_map(|capability| {
        std::fs::read_dir(capability.path())
            .into_iter()
            .flatten()
            .flatten()
    });
    let mut expected: BTreeSet<String> = functions
        .filter(|function| function.path().join("function.json").is_file())
        .map(|function| format!("{}/function.json", function.file_name().to_string_lossy()))
        .collect();
    expected.extend(["host.json".to_owned(), "defender-functions".to_owned()]);
    assert_eq!(names, expected);
}

#[test]
fn the_zip_carries_unix_modes() {
    for (name, mode) in zip_entries() {
        assert_eq!(
            mode,
            if name == "defender-functions" {
                0o100_755
            } else {
                0o100_644
            },
            "{name}"
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let out = folder.path().join(name);
        package::make(&out, &[]);
        std::fs::read(package::zip_of(&out)).unwrap()
    };
    assert!(make("one") == make("two"));
}

#[tokio::test]
async fn the_unpacked_zip_runs_in_the_host() {
    let app = App::start().await;
    assert!(
        app.host
            .root
            .ends_with(package::unpacked().file_name().unwrap())
    );
    assert_eq!(app.get_hash(MALWARE).await.json()["verdict"], "Malicious");
}

#[test]
fn the_executable_does_not_contain_the_sandbox() {
    let executable = std::fs::read(package::unpacked().join("defender-functions")).unwrap();
    let contains = |text: &str| {
        executable
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(
        contains("determinationType"),
        "the search finds what is there"
    );
    let threat = "Trojan:Win32/Wacatac.B!ml";
    for text in [sandbox::IDENTITY_HEADER, "made-up-signature", threat] {
        assert!(!contains(text), "{text}");
    }
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "handler",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--offline",
            "--locked",
        ])
        .current_dir(package::repository())
        .output()
        .expect("cargo tree runs");
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(
        tree.contains("functions v") && !tree.contains("sandbox v") && !tree.contains("demo v"),
        "{tree}"
    );
}

/// The released executable.
///
/// It is `None`, with a line that says so, if the tests run against the one that
/// cargo built for them.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn released() -> Option<Vec<u8>> {
    if !package::is_released() {
        eprintln!("left out: PACKAGED_EXECUTABLE names no release executable");
        return None;
    }
    Some(std::fs::read(package::executable()).unwrap())
}

#[test]
fn the_release_runs_on_the_glibc_of_the_images() {
    let Some(executable) = released() else { return };
    let text = String::from_utf8_lossy(&executable);
    let versions = text.match_indices("GLIBC_2.").map(|(at, sign)| {
        let digits = text[at + sign.len()..]
            .chars()
            .take_while(char::is_ascii_digit);
        digits
            .collect::<String>()
            .parse::<u32>()
            .unwrap_or(u32::MAX)
    });
    let versions: BTreeSet<u32> = versions.collect();
    // Debian 11 is Microsoft's oldest image.
    assert!(
        versions.len() > 3 && versions.last() <= Some(&31),
        "{versions:?}"
    );
}

#[test]
fn the_release_holds_the_list_of_its_dependencies_and_no_symbols() {
    let Some(executable) = released() else { return };
    let mut reader = &executable[..];
    let info =
        auditable_info::audit_info_from_reader(&mut reader, auditable_info::Limits::default());
    let info = info.expect("a list");
    let names: BTreeSet<&str> = info
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    for name in ["handler", "functions", "rustls", "tokio", "azure_identity"] {
        assert!(names.contains(name), "{name} {names:?}");
    }
    for name in ["sandbox", "demo", "insta", "proptest"] {
        assert!(!names.contains(name), "{name}");
    }
    let symbols = executable.windows(8).any(|window| window == b".symtab\0");
    assert!(
        !symbols && executable.len() < 16_000_000,
        "{} bytes",
        executable.len()
    );
}

#[test]
fn the_functions_bindings_let_the_host_forward_the_request() {
    let text = std::fs::read(package::unpacked().join("hash_lookup/function.json")).unwrap();
    let function: Value = serde_json::from_slice(&text).unwrap();
    let bindings = function["bindings"].as_array().unwrap();
    assert_eq!(bindings.len(), 2);
    assert_eq!(
        (
            &bindings[0]["type"],
            &bindings[0]["direction"],
            &bindings[0]["name"]
        ),
        (&"httpTrigger".into(), &"in".into(), &"req".into())
    );
    assert_eq!(
        (
            &bindings[1]["type"],
            &bindings[1]["direction"],
            &bindings[1]["name"]
        ),
        (&"http".into(), &"out".into(), &"res".into())
    );
    assert_eq!(bindings[0]["route"], "hashes/{hash?}");
}
