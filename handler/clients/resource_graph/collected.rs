//! The rows of a query, and the reasons why they may be incomplete.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use functions::query::{Query, Record};

use super::{Rows, page::Page};
use crate::outbound::Kind;

/// The rows of a query, each id once.
///
/// The scope can name a subscription and also a group above it.
#[derive(Debug)]
pub(super) struct Collected<T> {
    rows: Vec<T>,
    ids: HashSet<u64>,
    hasher: RandomState,
    /// Rows that are not records of the query.
    misshapen: usize,
    pub(super) gaps: Vec<String>,
    pub(super) failure: Option<Kind>,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            ids: HashSet::new(),
            hasher: RandomState::new(),
            misshapen: 0,
            gaps: Vec::new(),
            failure: None,
        }
    }
}

impl<T: Record> Collected<T> {
    fn note(&mut self, gap: &str) {
        if !self.gaps.iter().any(|known| known == gap) {
            self.gaps.push(gap.to_owned());
        }
    }

    /// Adds a record, unless another scope already had it.
    fn add(&mut self, row: T, id: u64) {
        if self.ids.insert(id) {
            self.rows.push(row);
        }
    }

    pub(super) fn into_rows(mut self, query: Query) -> Rows<T> {
        if self.misshapen > 0 {
            let gap = match self.misshapen {
                1 => "1 row has another shape".to_owned(),
                rows => format!("{rows} rows have another shape"),
            };
            self.gaps.push(gap);
        }
        let named = |gap: String| format!("{}: {gap}", query.name.replace('_', " "));
        Rows {
            rows: self.rows,
            gaps: self.gaps.into_iter().map(named).collect(),
            failure: self.failure,
        }
    }
}

/// The facts about the pages of one scope that show whether they are complete.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Hashes of the ids, compared as ids are. Two ids share a hash once in some
    /// hundred million estates of 200,000 rows; the check is then only too strict.
    ids: HashSet<u64>,
    tokens: HashSet<String>,
    counted: u64,
    total: Option<u64>,
}

impl Part {
    /// Adds a page and returns the token of the next one.
    pub(super) fn take<T: Record>(&mut self, page: Page, all: &mut Collected<T>) -> Option<String> {
        if page.limit_hit {
            all.note(
                "more subscriptions are visible than one query covers; name management groups in `COVERAGE_SCOPE`",
            );
        }
        if page.truncated && page.skip_token.is_none() {
            all.note("Azure cut off the response and gave no link to the rest");
        }
        if self.total.is_some_and(|total| total != page.total) {
            all.note("the number of rows changed while they were read");
        }
        if page.count != page.rows.len() as u64 {
            all.note("a page has a different number of rows than it says");
        }
        self.counted += page.count;
        self.total = Some(page.total);
        for row in page.rows {
            let Ok(row) = serde_json::from_str::<T>(row.get()) else {
                all.misshapen += 1;
                continue;
            };
            let id = all.hasher.hash_one(row.id().to_ascii_lowercase());
            if self.ids.insert(id) {
                all.add(row, id);
            } else {
                all.note("a row came twice, so another may be missing");
            }
        }
        let token = page.skip_token?;
        if !self.tokens.insert(token.clone()) {
            all.note("the pages form a loop");
            return None;
        }
        if self.counted > page.total {
            all.note("more rows came than there are; the rest was not asked for");
            return None;
        }
        Some(token)
    }

    /// Compares the totals after the last page.
    pub(super) fn close<T: Record>(&self, all: &mut Collected<T>) {
        let total = self.total.unwrap_or_default();
        if self.counted != total {
            all.gaps
                .push(format!("{} of {total} rows came", self.counted));
        }
    }
}
