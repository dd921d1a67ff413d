//! Lists of Resource Manager, page by page.

use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{Resource, ResourceManagerClient, forbidden, undocumented};
use crate::outbound::Failure;

/// Pages of one list.
const MAX_PAGES: usize = 1_000;

impl ResourceManagerClient {
    /// All items of a list, page by page; `None` if what has the list was not found.
    ///
    /// # Errors
    /// [`Failure`]; also for a page without a list, and for a list that does not end or
    /// continues elsewhere. An absent list is never an empty one.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Option<Vec<Value>>, Failure> {
        let (mut items, mut next) = (Vec::new(), Some(self.at(path, query)));
        for page_number in 0..MAX_PAGES {
            let Some(url) = next.take() else {
                return Ok(Some(items));
            };
            let mut page = match self.get_url(url, deadline).await? {
                Resource::Found(page) => page,
                Resource::NotFound if page_number == 0 => return Ok(None),
                Resource::NotFound => {
                    let cause = format!("page {page_number} of {path}");
                    return Err(undocumented("a page of a list was not found", &cause));
                }
                Resource::Refused | Resource::Elsewhere => return Err(forbidden(path)),
            };
            next = next_page(&page)?;
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(found)) => items.extend(found),
                _ => {
                    return Err(undocumented(
                        "a response of Resource Manager has no list",
                        path,
                    ));
                }
            }
        }
        let cause = format!("{MAX_PAGES} pages of {path}");
        Err(undocumented(
            "a list of Resource Manager does not end",
            &cause,
        ))
    }
}

/// The URL of the next page of a list. The call refuses another host.
fn next_page(page: &Value) -> Result<Option<Url>, Failure> {
    let Some(link) = page["nextLink"].as_str().filter(|link| !link.is_empty()) else {
        return Ok(None);
    };
    let unusable = |_| {
        undocumented(
            "a list of Resource Manager has an unusable link",
            "nextLink",
        )
    };
    Url::parse(link).map(Some).map_err(unusable)
}
