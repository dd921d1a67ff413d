//! The subscriptions of a report.

use std::fmt;

use serde_json::{Value, json};

use super::reader::printable;

/// Subscriptions that one query may name.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// Management groups and subscriptions; empty for the entire tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    management_groups: Vec<String>,
    subscriptions: Vec<String>,
}

/// A word that is neither a management group nor a subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`")]
pub(super) struct UnknownWord(String);

impl Scope {
    /// Reads `mg:NAME` and `sub:GUID`, separated by spaces.
    ///
    /// # Errors
    /// [`UnknownWord`], the first word that is neither.
    pub(super) fn read(text: &str) -> Result<Self, UnknownWord> {
        let mut scope = Self::default();
        for word in text.split_whitespace() {
            match word.split_once(':') {
                Some(("mg", name)) if is_group_name(name) => {
                    scope.management_groups.push(name.to_owned());
                }
                Some(("sub", id)) if uuid::Uuid::try_parse(id).is_ok() => {
                    scope.subscriptions.push(id.to_ascii_lowercase());
                }
                _ => return Err(UnknownWord(printable(word))),
            }
        }
        Ok(scope)
    }

    /// Returns true if it is the entire tenant.
    pub fn is_empty(&self) -> bool {
        self.management_groups.is_empty() && self.subscriptions.is_empty()
    }

    /// Names of its management groups.
    pub fn management_groups(&self) -> &[String] {
        &self.management_groups
    }

    /// Ids of its subscriptions, in lower case.
    pub fn subscriptions(&self) -> &[String] {
        &self.subscriptions
    }

    /// The fields of a query's body that name the scope: one body a query.
    pub fn bodies(&self) -> Vec<Value> {
        let mut bodies = Vec::new();
        if !self.management_groups.is_empty() {
            bodies.push(json!({ "managementGroups": self.management_groups }));
        }
        let parts = self.subscriptions.chunks(MAX_SUBSCRIPTIONS);
        bodies.extend(parts.map(|part| json!({ "subscriptions": part })));
        if bodies.is_empty() {
            bodies.push(json!({}));
        }
        bodies
    }
}

/// The words of the setting, sorted, so that two settings of one meaning are one
/// scope; empty for the tenant.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self
            .management_groups
            .iter()
            .map(|name| format!("mg:{name}"));
        let subscriptions = self.subscriptions.iter().map(|id| format!("sub:{id}"));
        let mut words: Vec<String> = groups.chain(subscriptions).collect();
        words.sort();
        words.dedup();
        f.write_str(&words.join(" "))
    }
}

/// Letters, digits, `-_().`, at most 90, as Azure accepts them.
fn is_group_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_().".contains(c);
    !name.is_empty() && name.chars().count() <= 90 && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_tenant_or_what_is_named() {
        let id = "5D2A6D2B-0d5e-4a8c-9a5e-3f6c1c6a9f10";
        assert_eq!(Scope::read(" ").unwrap().bodies(), [json!({})]);
        let scope = Scope::read(&format!("mg:contoso-root sub:{id} mg:b")).unwrap();
        let words = format!("mg:b mg:contoso-root sub:{}", id.to_lowercase());
        assert_eq!(scope.to_string(), words);
        assert_eq!(
            scope.bodies(),
            [
                json!({ "managementGroups": ["contoso-root", "b"] }),
                json!({ "subscriptions": [id.to_lowercase()] })
            ]
        );
        for wrong in ["contoso", "sub:x", "mg:", "mg:a/b", "rg:x"] {
            assert_eq!(Scope::read(wrong), Err(UnknownWord(wrong.to_owned())));
        }
    }
}
