//! Saved workbooks with their content.
//!
//! Source: <https://learn.microsoft.com/rest/api/application-insights/workbooks>

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Resource, ResourceManagerClient};
use crate::outbound::{Code, Failure, Kind};

const VERSION: (&str, &str) = ("api-version", "2023-06-01");

impl ResourceManagerClient {
    /// True if Resource Manager itself says that a workbook does not exist.
    ///
    /// # Errors
    /// [`Failure`], after retries.
    pub async fn is_workbook_gone(&self, id: &str, deadline: Instant) -> Result<bool, Failure> {
        let found = self.get(id, &[VERSION], deadline).await?;
        Ok(found == Resource::NotFound)
    }

    /// The properties of a workbook, with its content as text in `serializedData`.
    ///
    /// # Errors
    /// [`Failure`]: `workbook_changed` if it was just deleted or came without content,
    /// `missing_permission`, `workbook_unusable` if its content is stored elsewhere.
    pub async fn workbook(&self, id: &str, deadline: Instant) -> Result<Value, Failure> {
        let query = [VERSION, ("canFetchContent", "true")];
        let properties = match self.get(id, &query, deadline).await? {
            Resource::Found(mut workbook) => workbook
                .get_mut("properties")
                .map(Value::take)
                .unwrap_or_default(),
            Resource::NotFound => return Err(workbook_changed("it was just deleted")),
            Resource::Refused | Resource::Elsewhere => {
                let detail = "the identity may not read it: grant it Reader on its resource group";
                return Err(Failure::new(
                    Kind::Forbidden,
                    Code::MissingPermission,
                    detail,
                    id,
                ));
            }
        };
        if !properties["storageUri"].is_null() {
            let detail =
                "its content is stored in a storage account of its own, which is not touched";
            let code = Code::WorkbookUnusable;
            return Err(Failure::new(Kind::Unusable, code, detail, id));
        }
        if properties["serializedData"].is_string() {
            Ok(properties)
        } else {
            Err(workbook_changed("it came without its content"))
        }
    }

    /// Writes the content of a workbook.
    ///
    /// # Errors
    /// [`Failure`]: `missing_permission` with the role to grant.
    pub async fn write_workbook(
        &self,
        id: &str,
        content: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let body = json!({ "properties": { "serializedData": content } });
        let written = self.patch(id, &[VERSION], &body, deadline).await;
        written.map(drop).map_err(|failure| match failure.kind {
            Kind::Forbidden => {
                let detail = "the identity may not write it: grant it Workbook Contributor on its resource group";
                Failure {
                    detail: detail.to_owned(),
                    ..failure
                }
            }
            _ => failure,
        })
    }
}

/// A workbook that changed meanwhile, or does not have what was written.
pub(crate) fn workbook_changed(detail: &str) -> Failure {
    Failure::new(Kind::Rejected, Code::WorkbookChanged, detail, "changed")
}
