//! The results as CSV, a row each.

use crate::{
    hashes::{Evidence, FileProfile, HashResult, LookupAnswer, Verdict, result::status_word},
    report::csv::{self, Column},
};

impl LookupAnswer {
    /// The results as CSV (RFC 4180, UTF-8, header line), a row each.
    pub fn to_csv(&self) -> String {
        csv::render(&CSV_COLUMNS, &self.results)
    }
}

#[rustfmt::skip]
const CSV_COLUMNS: [Column<HashResult>; 21] = [
    ("hash", |r| r.hash.clone()),
    ("hashType", |r| r.hash_type.as_deref().unwrap_or_default().to_owned()),
    ("status", |r| status_word(r.status).to_owned()),
    ("verdict", |r| r.verdict.map(Verdict::as_str).unwrap_or_default().to_owned()),
    ("reasonCode", |r| r.reasons.first().map(|reason| reason.code.to_string()).unwrap_or_default()),
    ("reason", |r| r.reasons.first().map(|reason| reason.text.clone()).unwrap_or_default()),
    ("found", |r| r.found.map(|found| found.to_string()).unwrap_or_default()),
    ("cached", |r| r.cached.to_string()),
    ("stale", |r| r.stale.to_string()),
    ("asOf", |r| r.as_of.clone().unwrap_or_default()),
    ("sha1", |r| of_file(r, |file| file.sha1.clone())),
    ("sha256", |r| of_file(r, |file| file.sha256.clone())),
    ("determinationType", |r| of_file(r, |file| file.determination_type.clone())),
    ("determinationValue", |r| of_file(r, |file| file.determination_value.clone())),
    ("globalPrevalence", |r| of_file(r, |file| file.global_prevalence.map(|count| count.to_string()))),
    ("signer", |r| of_file(r, |file| file.signer.clone())),
    ("organizationPrevalence", |r| counted(r, |e| e.stats.as_ref()?.data.as_ref()?.organization_prevalence)),
    ("alerts", |r| counted(r, |e| Some(e.alerts.as_ref()?.data.as_ref()?.count as u64))),
    ("devices", |r| counted(r, |e| Some(e.devices.as_ref()?.data.as_ref()?.count as u64))),
    ("indicators", |r| indicators(&r.evidence)),
    ("error", |r| r.error.as_ref().map(|error| format!("{}: {}", error.code, error.detail)).unwrap_or_default()),
];

/// The actions of the Indicators, or `none`, and `(own only)` if only those of the app
/// are visible; empty where they were not asked for or not read.
fn indicators(evidence: &Evidence) -> String {
    let Some(found) = evidence
        .indicators
        .as_ref()
        .and_then(|source| source.data.as_ref())
    else {
        return String::new();
    };
    let mut words = evidence.indicator_actions();
    if found.items.is_empty() {
        words.push("none");
    }
    if found.own_only {
        words.push("(own only)");
    }
    words.join(" ")
}

/// A number of the evidence; empty where it was not asked for or not read.
fn counted(result: &HashResult, field: fn(&Evidence) -> Option<u64>) -> String {
    let count = field(&result.evidence);
    count.map(|count| count.to_string()).unwrap_or_default()
}

fn of_file(result: &HashResult, field: fn(&FileProfile) -> Option<String>) -> String {
    result.file.as_ref().and_then(field).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::{HashKind, ItemError, ItemStatus, Observable, result::samples::verified};

    #[test]
    fn csv_has_a_row_for_every_result() {
        let error = ItemError {
            code: "upstream_unavailable".into(),
            detail: String::new(),
            retry_after_seconds: None,
            cause: String::new(),
        };
        let results = vec![
            verified("Malware", ""),
            HashResult::invalid(&Observable::parse("zz")).unwrap(),
            HashResult::unanswered("ab", HashKind::Sha1, ItemStatus::Failed, error),
        ];
        let csv = LookupAnswer::new(String::new(), results).to_csv();
        insta::assert_snapshot!(csv.replace("\r\n", "\n"), @r"
        hash,hashType,status,verdict,reasonCode,reason,found,cached,stale,asOf,sha1,sha256,determinationType,determinationValue,globalPrevalence,signer,organizationPrevalence,alerts,devices,indicators,error
        abababababababababababababababababababab,sha1,ok,Malicious,determination_malware,Microsoft determined malware,true,false,false,,,,Malware,,,,,,,,
        zz,,invalid,,,,,false,false,,,,,,,,,,,,hash_character: the character z at position 1 is not a hexadecimal digit
        ab,sha1,failed,,,,,false,false,,,,,,,,,,,,upstream_unavailable: 
        ");
    }
}
