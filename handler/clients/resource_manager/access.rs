//! Access of the identity: its subscriptions below a group, and its permissions.

use std::collections::BTreeSet;

use functions::health::allows;
use serde_json::Value;
use tokio::time::Instant;

use super::ResourceManagerClient;
use crate::outbound::{Failure, Kind};

impl ResourceManagerClient {
    /// Ids of all subscriptions below a management group, in lower case; `None` if the
    /// identity may not see the group, or the group was not found.
    /// Source: <https://learn.microsoft.com/rest/api/managementgroups/management-groups/get-descendants>
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn subscriptions_below(
        &self,
        group: &str,
        deadline: Instant,
    ) -> Result<Option<BTreeSet<String>>, Failure> {
        let path = format!("/providers/Microsoft.Management/managementGroups/{group}/descendants");
        let query = [("api-version", "2020-05-01"), ("$top", "1000")];
        let found = match self.list(&path, &query, deadline).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) if error.kind == Kind::Forbidden => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_subscription = |item: &&Value| {
            let kind = item["type"].as_str().unwrap_or_default();
            kind.to_ascii_lowercase().ends_with("subscriptions")
        };
        let ids = found.iter().filter(is_subscription);
        let ids = ids.filter_map(|item| item["name"].as_str().map(str::to_ascii_lowercase));
        Ok(Some(ids.collect()))
    }

    /// Returns true if the identity may perform an action on a resource.
    ///
    /// `action` is a name such as `microsoft.insights/workbooks/write`.
    /// Source: <https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource>
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn may(&self, id: &str, action: &str, deadline: Instant) -> Result<bool, Failure> {
        let path = format!("{id}/providers/Microsoft.Authorization/permissions");
        let query = [("api-version", "2022-04-01")];
        let permissions = match self.list(&path, &query, deadline).await {
            Err(error) if error.kind == Kind::Forbidden => return Ok(false),
            // A resource that is not there gives no rights.
            permissions => permissions?.unwrap_or_default(),
        };
        let names = |part: &Value| {
            let patterns = part.as_array().into_iter().flatten();
            let mut patterns = patterns.filter_map(Value::as_str);
            patterns.any(|pattern| allows(pattern, action))
        };
        let mut permissions = permissions.iter();
        Ok(permissions.any(|held| names(&held["actions"]) && !names(&held["notActions"])))
    }
}
