//! Generated documents: every planted hash is asked for, or makes the answer unfinished.

use std::collections::HashSet;

use proptest::{prelude::*, sample::select};

use super::*;

/// A document with the hashes that were planted in it.
#[derive(Clone, Debug)]
struct Document {
    content_type: &'static str,
    text: String,
    planted: Vec<String>,
}

fn hash() -> impl Strategy<Value = String> {
    (select(vec![40_usize, 64]), any::<[u8; 32]>()).prop_map(|(length, bytes)| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits[..length].to_owned()
    })
}

/// A hash as tools write it: in one piece, wrapped, escaped, labeled, with odd neighbors.
fn written(hash: &str, form: usize, at: usize) -> String {
    let cut = 1 + at % (hash.len() - 1);
    let (head, tail) = hash.split_at(cut);
    let bytes: Vec<&str> = (0..hash.len() / 2)
        .map(|at| &hash[at * 2..at * 2 + 2])
        .collect();
    match form {
        0 => hash.to_owned(),
        1 => hash.to_uppercase(),
        2 => format!("{head}=\n{tail}"),
        3 => format!("{head}\n      {tail}"),
        4 => format!("{head}<wbr>{tail}"),
        5 => format!("{head}\u{200b}{tail}"),
        6 => format!("<td>{hash}</td>"),
        7 => format!("值{hash}为"),
        8 => format!("ш{hash}ж"),
        9 => format!("file%3A{hash}%2Fx"),
        10 => bytes.join(" "),
        11 => format!("\\n{hash}\\t"),
        12 => format!("SHA{}: {hash}", if hash.len() == 40 { "-1" } else { "256" }),
        13 => format!("x{hash}"),
        14 => format!("{head}g{tail}"),
        15 => format!("`{hash}`\u{b9}"),
        16 => format!("{hash}<br>"),
        17 => format!("=3D{hash}=0A"),
        _ => format!("\"{hash}\""),
    }
}

const FORMS: usize = 19;

fn document() -> impl Strategy<Value = Document> {
    let planted = prop::collection::vec((hash(), 0..FORMS, any::<usize>()), 1..6);
    let words = prop::collection::vec("[a-zA-Zäжの.,:;!? ]{0,24}", 7);
    (planted, words, 0..5_usize).prop_map(|(planted, words, frame)| {
        let parts: Vec<String> = planted
            .iter()
            .map(|(hash, form, at)| written(hash, *form, *at))
            .collect();
        let hashes: Vec<String> = planted.iter().map(|(hash, ..)| hash.clone()).collect();
        let text = |separator: &str| {
            let pairs = parts.iter().zip(&words);
            let pieces: Vec<String> = pairs.map(|(part, word)| format!("{word} {part}")).collect();
            pieces.join(separator)
        };
        let (content_type, text) = match frame {
            0 => ("text/plain", text(" \n\n")),
            1 => ("text/plain", text("; ")),
            2 => ("text/html", format!("<p>{}</p>", text("</p><p>"))),
            3 => (
                "application/json",
                serde_json::json!({ "notes": parts, "count": parts.len() }).to_string(),
            ),
            _ => (
                "text/plain",
                serde_json::json!([{ "type": "note", "text": text(" , ") }]).to_string(),
            ),
        };
        Document {
            content_type,
            text,
            planted: hashes,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn field_h01_no_planted_hash_is_lost_and_none_is_invented(document in document()) {
        let items = parse(document.content_type, document.text.as_bytes());
        let items = items.expect("a known shape").observables;
        let asked: HashSet<&str> = items
            .iter()
            .filter(|item| item.hash.is_ok())
            .map(|item| item.text.as_str())
            .collect();
        let is_unfinished = items.iter().any(|item| item.hash.is_err());
        for hash in &document.planted {
            prop_assert!(
                asked.contains(hash.as_str()) || is_unfinished,
                "lost {hash} of {document:?}: {items:?}"
            );
        }
        for hash in asked {
            prop_assert!(
                document.planted.iter().any(|planted| planted == hash),
                "invented {hash} from {document:?}"
            );
        }
    }
}
