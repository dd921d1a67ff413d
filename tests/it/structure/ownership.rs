//! Words that only some modules may have.

use std::collections::BTreeSet;

use super::source::{Source, expand, sources};

/// Words of code that only some modules may have.
struct Reserved {
    what: &'static str,
    words: &'static [&'static str],
    owners: &'static [&'static str],
}

const RESERVED: [Reserved; 4] = [
    Reserved {
        what: "only outbound sends; storage has its own pipeline, and the keys of callers' tokens are fetched where they are checked",
        words: &[
            "reqwest::get",
            "reqwest::Client",
            "ClientBuilder",
            ".fetch(",
            "hyper_util::client",
            "TcpStream::connect",
        ],
        owners: &["outbound", "clients::storage", "server::signing_keys"],
    },
    Reserved {
        what: "only the server knows the protocol of the Functions host",
        words: &["x-azure-functions", "ScheduleStatus", "ReturnValue"],
        owners: &["server"],
    },
    Reserved {
        what: "only config reads the environment",
        words: &["env::var", "env::vars"],
        owners: &["config"],
    },
    Reserved {
        what: "only clients know URLs and API versions; config has their defaults, and token rules the issuer of a cloud",
        words: &[
            "microsoft.com",
            "azure.com",
            "windows.net",
            "microsoftonline",
            "azure.us",
            "azure.cn",
            "api-version",
            "api_version",
        ],
        owners: &[
            "clients",
            "config",
            "outbound::identity",
            "server::token_rules",
        ],
    },
];

/// The reserved words that a module has although it does not own them.
fn strange_words(source: &Source) -> Vec<String> {
    let module = source.module.join("::");
    let owns = |owner: &&str| module == **owner || module.starts_with(&format!("{owner}::"));
    let code = flat(&source.code);
    let strange = RESERVED.iter().filter(|one| !one.owners.iter().any(owns));
    strange
        .flat_map(|one| one.words.iter().map(move |word| (one.what, word)))
        .filter(|(_, word)| code.contains(*word))
        .map(|(what, word)| format!("{module} has {word}: {what}"))
        .collect()
}

/// Code whose `use` trees are written out, so that `use reqwest::{Client, header}` has
/// `reqwest::Client`.
fn flat(code: &str) -> String {
    let mut text = code.to_owned();
    for (at, _) in code.match_indices("use ") {
        let Some(tree) = code[at + 4..].split(';').next() else {
            continue;
        };
        let mut found = BTreeSet::new();
        expand(tree, Vec::new(), &mut found);
        for path in found {
            text.push('\n');
            text.push_str(&path.join("::"));
        }
    }
    text
}

#[test]
fn each_module_keeps_to_what_it_owns() {
    let found: Vec<String> = sources("handler").iter().flat_map(strange_words).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn planted_words_are_found_in_every_form() {
    for code in [
        "fn f() { reqwest::Client::new(); }",
        "use reqwest::{Client, header};",
        "use std::env;\nfn f() { env::var(\"HOME\"); }",
        "const URL: &str = \"https://management.azure.com\";",
        "let query = [(\"api-version\", \"2024-01-01\")];",
    ] {
        let planted = Source::new("services::coverage", code);
        assert_eq!(strange_words(&planted).len(), 1, "{code}");
        let owner = Source::new(
            "clients::defender",
            "const U: &str = \"https://a.azure.com\";",
        );
        assert_eq!(strange_words(&owner), [""; 0]);
    }
}
