//! The record of a file in the Files API.
//!
//! Every field is optional and read leniently (a number sent as text, an
//! unknown field, a null), because the set of values is not published.
//! Source: <https://learn.microsoft.com/defender-endpoint/api/files>

use std::collections::HashSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::FileHash;
use crate::{
    json,
    wire::{flag, instant, number, optional_text},
};

/// The file entity of `GET /api/files/{hash}`, and JSON `file` of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileProfile {
    /// SHA-1 in hexadecimal digits; null when Defender did not send it.
    #[serde(deserialize_with = "optional_text")]
    pub sha1: Option<String>,
    /// SHA-256 in hexadecimal digits; null when Defender did not send it.
    #[serde(deserialize_with = "optional_text")]
    pub sha256: Option<String>,
    /// MD5, which no document lists but real answers carry; absent otherwise.
    #[serde(
        deserialize_with = "optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub md5: Option<String>,
    /// The determination of Defender, such as `Malware`, `Pua` or `Unknown`: the word as
    /// sent, of an open set. Judged by [`super::judge`].
    #[serde(deserialize_with = "optional_text")]
    pub determination_type: Option<String>,
    /// The name of the threat, such as `PUA:Win32/FusionCore`, or a word that
    /// says that there is none.
    #[serde(deserialize_with = "optional_text")]
    pub determination_value: Option<String>,
    /// A classification in the words of `determinationType` that no document
    /// shows; read where an answer has it.
    #[serde(
        deserialize_with = "optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub file_classification: Option<String>,
    /// Devices worldwide that saw the file; null when not counted.
    #[serde(deserialize_with = "number")]
    pub global_prevalence: Option<u64>,
    /// The time at which the file was first seen anywhere, as Defender wrote it (RFC 3339,
    /// up to 7 fraction digits); null for the year 1.
    #[serde(deserialize_with = "instant")]
    pub global_first_observed: Option<String>,
    /// The time at which the file was last seen anywhere, in the format of
    /// `globalFirstObserved`.
    #[serde(deserialize_with = "instant")]
    pub global_last_observed: Option<String>,
    /// Size in bytes; null when unknown.
    #[serde(deserialize_with = "number")]
    pub size: Option<u64>,
    /// Such as `APP` or `PortableExecutable`; an open set.
    #[serde(deserialize_with = "optional_text")]
    pub file_type: Option<String>,
    /// True if the file is a Windows executable; Defender enforces Indicators only on
    /// these. Null if unknown.
    #[serde(deserialize_with = "flag")]
    pub is_pe_file: Option<bool>,
    /// Company name of the version resource, which anyone can write.
    #[serde(deserialize_with = "optional_text")]
    pub file_publisher: Option<String>,
    /// Product name of the version resource, which anyone can write.
    #[serde(deserialize_with = "optional_text")]
    pub file_product_name: Option<String>,
    /// Name in the signing certificate; null for an unsigned file. Means
    /// nothing unless `isValidCertificate` is true.
    #[serde(deserialize_with = "optional_text")]
    pub signer: Option<String>,
    /// Who issued the signing certificate.
    #[serde(deserialize_with = "optional_text")]
    pub issuer: Option<String>,
    /// True if Defender found the signature valid; null if unknown.
    #[serde(deserialize_with = "flag")]
    pub is_valid_certificate: Option<bool>,
}

/// The reason why a response of the Files API is not about the requested file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableProfile {
    /// Not a JSON object, or without the hash that was asked for.
    #[error("the answer does not name the file asked for")]
    NamesNoFile,
    /// Its hash is another one than was asked for.
    #[error("the answer is about another file than the one asked for")]
    AnotherFile,
    /// It has an error next to a file, or a field twice in different case.
    #[error("the answer has an error next to a file, or a field twice")]
    Contradicts,
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, UnusableProfile> {
    json::read_object(answer).map_err(|_| UnusableProfile::NamesNoFile)
}

impl FileProfile {
    /// Reads the response about `asked`, JSON text.
    ///
    /// A response that has a field twice is refused, because either could count.
    ///
    /// # Errors
    /// [`UnusableProfile`] if the response is not about `asked`. A retry may help; no
    /// verdict may be based on it.
    pub fn read(answer: &[u8], asked: FileHash) -> Result<Self, UnusableProfile> {
        let fields: Map<String, Value> = read(answer)?;
        let names: HashSet<String> = fields
            .keys()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        let has_error = fields.get("error").is_some_and(|error| !error.is_null());
        if has_error || names.len() < fields.len() {
            return Err(UnusableProfile::Contradicts);
        }
        let profile: Self = read(answer)?;
        let said = match asked {
            FileHash::Sha1(_) => &profile.sha1,
            FileHash::Sha256(_) => &profile.sha256,
        };
        match said.as_deref() {
            Some(said) if said.parse() == Ok(asked) => Ok(profile),
            Some(_) => Err(UnusableProfile::AnotherFile),
            None => Err(UnusableProfile::NamesNoFile),
        }
    }

    /// The hashes under which this answer may be remembered: the one asked for
    /// and, where the answer has it, the other one of the file.
    pub fn known_hashes(&self, asked: FileHash) -> Vec<FileHash> {
        let parse = |text: &Option<String>| {
            text.as_deref()
                .and_then(|text| text.parse::<FileHash>().ok())
        };
        let others = [parse(&self.sha1), parse(&self.sha256)]
            .into_iter()
            .flatten();
        std::iter::once(asked)
            .chain(others.filter(|hash| hash.kind() != asked.kind()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{Verdict, judge};
    use serde_json::json;

    const SHA1: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";
    const SHA256: &str = "413c58c8267d2c8648d8f6384bacc2ae9c929b2b96578b6860b5087cd1bd6462";

    fn asked() -> FileHash {
        SHA256.parse().unwrap()
    }

    #[test]
    fn documented_sample_is_read_whole() {
        let sample = include_str!("../../tests/data/defender/file-pua.json");
        let profile = FileProfile::read(sample.as_bytes(), asked()).unwrap();
        assert_eq!(
            profile.determination_value.as_deref(),
            Some("PUA:Win32/FusionCore")
        );
        assert_eq!(profile.global_prevalence, Some(180_022));
        assert_eq!(profile.is_valid_certificate, Some(false));
        assert_eq!(
            profile.known_hashes(asked()),
            [asked(), SHA1.parse().unwrap()]
        );
    }

    fn read(answer: &Value, asked: FileHash) -> Result<FileProfile, UnusableProfile> {
        FileProfile::read(answer.to_string().as_bytes(), asked)
    }

    #[test]
    fn numbers_as_text_nulls_and_huge_numbers_are_tolerated() {
        let answer = format!(
            r#"{{"sha256":"{SHA256}","sha1":null,"globalPrevalence":"12","size":1e300,"isPeFile":"True",
               "determinationType":7,"globalFirstObserved":"0001-01-01T00:00:00","extra":[],"extra":{{}}}}"#
        );
        let profile = FileProfile::read(answer.as_bytes(), asked()).unwrap();
        assert_eq!(
            (profile.global_prevalence, profile.size, profile.is_pe_file),
            (Some(12), None, Some(true))
        );
        assert_eq!(profile.determination_type.as_deref(), Some("7"));
        assert_eq!(
            (profile.signer, profile.global_first_observed),
            (None, None)
        );
    }

    #[test]
    fn a_determination_in_another_shape_is_not_lost() {
        let threat = json!({ "sha256": SHA256, "determinationType": "Clean", "determinationValue": { "name": "Trojan:Win32/X" } });
        assert_eq!(
            judge(&read(&threat, asked()).unwrap()).0,
            Verdict::Suspicious
        );
        let list = json!({ "sha256": SHA256, "determinationType": ["Malware"] });
        assert_eq!(
            &*judge(&read(&list, asked()).unwrap()).1[0].code,
            "unrecognised_determination"
        );
        let twice = format!(
            r#"{{"sha256":"{SHA256}","determinationType":"Malware","determinationType":"Clean"}}"#
        );
        assert_eq!(
            FileProfile::read(twice.as_bytes(), asked()),
            Err(UnusableProfile::NamesNoFile)
        );
    }

    #[test]
    fn field_s18_an_answer_that_contradicts_itself_is_refused() {
        let with =
            |more: &str| format!(r#"{{"sha256":"{SHA256}","determinationType":"Clean"{more}}}"#);
        for more in [
            r#","error":{"code":"InternalServerError"}"#,
            r#","error":"x""#,
            r#","DeterminationType":"Malware""#,
            r#","SHA256":"x""#,
        ] {
            let read = FileProfile::read(with(more).as_bytes(), asked());
            assert_eq!(read, Err(UnusableProfile::Contradicts), "{more}");
        }
        assert!(FileProfile::read(with(r#","error":null"#).as_bytes(), asked()).is_ok());
        let by_position = format!(r#"["x","{SHA256}",null,"Clean"]"#);
        let read = FileProfile::read(by_position.as_bytes(), asked());
        assert_eq!(read, Err(UnusableProfile::NamesNoFile));
    }

    #[test]
    fn long_texts_are_cut() {
        let profile = read(
            &json!({ "sha256": SHA256, "signer": "é".repeat(5_000) }),
            asked(),
        )
        .unwrap();
        assert_eq!(profile.signer.unwrap().chars().count(), 1_027);
    }

    #[test]
    fn an_answer_about_another_or_no_file_is_refused() {
        for (answer, expected) in [
            (
                json!({ "sha256": "a".repeat(64) }),
                UnusableProfile::AnotherFile,
            ),
            (json!({ "sha256": "garbage" }), UnusableProfile::AnotherFile),
            (json!({ "sha256": SHA1 }), UnusableProfile::AnotherFile),
            (json!({}), UnusableProfile::NamesNoFile),
            (json!(null), UnusableProfile::NamesNoFile),
            (json!([1]), UnusableProfile::NamesNoFile),
            (
                json!({ "sha1": SHA1, "sha256": null }),
                UnusableProfile::NamesNoFile,
            ),
            (
                json!({ "sha1": "x", "determinationType": "Clean" }),
                UnusableProfile::NamesNoFile,
            ),
        ] {
            assert_eq!(read(&answer, asked()), Err(expected), "{answer}");
        }
    }

    #[test]
    fn an_answer_is_remembered_under_hashes_of_its_own_file_alone() {
        let by_sha1: FileHash = SHA1.parse().unwrap();
        let known = |answer: Value, asked| read(&answer, asked).unwrap().known_hashes(asked);
        assert_eq!(
            known(json!({ "sha1": SHA1, "sha256": null }), by_sha1),
            [by_sha1]
        );
        assert_eq!(
            known(json!({ "sha1": SHA1, "sha256": SHA256 }), by_sha1),
            [by_sha1, asked()]
        );
        assert_eq!(
            known(json!({ "sha1": "b".repeat(64), "sha256": SHA256 }), asked()),
            [asked()]
        );
        assert_eq!(
            known(json!({ "sha1": SHA1, "sha256": "b".repeat(40) }), by_sha1),
            [by_sha1]
        );
    }
}
