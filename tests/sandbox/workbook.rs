//! Workbooks with revisions.
//! Source: <https://learn.microsoft.com/rest/api/application-insights/workbooks>

use axum::{
    body::{Body, Bytes},
    http::{Method, Response, header, request::Parts},
    response::IntoResponse,
};
use serde_json::{Value, json};

use crate::{State, resource_manager::refusal, subscription_id};

/// A saved workbook.
#[derive(Clone, Debug)]
pub struct Workbook {
    /// Resource id.
    pub id: String,
    /// Its display name.
    pub display_name: String,
    /// Its content, a JSON text.
    pub content: String,
    /// The number of changes.
    pub revision: u64,
    /// The storage URI of content that is stored in a storage account.
    pub storage: Option<String>,
}

impl Workbook {
    /// A workbook in a subscription, whose name is a GUID of this number.
    pub fn new(subscription: usize, number: usize, display_name: &str, content: &str) -> Self {
        let (subscription, name) = (
            subscription_id(subscription),
            subscription_id(0xb00 + number),
        );
        Self {
            id: format!(
                "/subscriptions/{subscription}/resourceGroups/security/providers/Microsoft.Insights/workbooks/{name}"
            ),
            display_name: display_name.to_owned(),
            content: content.to_owned(),
            revision: 1,
            storage: None,
        }
    }

    /// Its row in Resource Graph.
    pub(crate) fn row(&self) -> Value {
        json!({
            "id": self.id, "name": self.id.rsplit('/').next(), "subscriptionId": self.id.split('/').nth(2),
            "displayName": self.display_name,
        })
    }

    fn resource(&self, with_content: bool) -> Value {
        json!({
            "id": self.id, "type": "microsoft.insights/workbooks", "location": "westeurope", "kind": "shared",
            "tags": { "hidden-title": self.display_name },
            "properties": {
                "displayName": self.display_name, "category": "workbook", "version": "Notebook/1.0",
                "sourceId": "Azure Security Center", "revision": format!("{:032x}", self.revision),
                "timeModified": format!("2026-11-23T06:00:{:02}.0000000Z", self.revision % 60),
                "storageUri": self.storage,
                "serializedData": if with_content && self.storage.is_none() { json!(self.content) } else { Value::Null },
            },
        })
    }
}

/// Answers a request about a workbook.
pub(crate) fn answer(state: &mut State, request: &Parts, body: &Bytes) -> Option<Response<Body>> {
    let path = request.uri.path();
    if !path.contains("/providers/Microsoft.Insights/workbooks/") {
        return None;
    }
    let query = request.uri.query().unwrap_or_default();
    if !query.starts_with("api-version=2023-06-01") {
        return Some(refusal(400, "InvalidApiVersionParameter", "2023-06-01"));
    }
    let can_write = state.can_write_workbooks;
    let edit = state
        .edit_between
        .take_if(|_| request.method == Method::GET);
    let Some(workbook) = state
        .workbooks
        .iter_mut()
        .find(|workbook| workbook.id == path)
    else {
        return Some(refusal(404, "ResourceNotFound", "no such workbook"));
    };
    let answer = if request.method == Method::GET {
        workbook.resource(query.contains("canFetchContent=true"))
    } else if request.method != Method::PATCH {
        return Some(refusal(405, "MethodNotAllowed", "GET and PATCH"));
    } else if !can_write {
        return Some(refusal(
            403,
            "AuthorizationFailed",
            "microsoft.insights/workbooks/write",
        ));
    } else {
        let change: Value = serde_json::from_slice(body).unwrap_or_default();
        let known = [
            "displayName",
            "serializedData",
            "category",
            "description",
            "revision",
        ];
        let fields = change["properties"].as_object();
        if !fields.is_some_and(|fields| fields.keys().all(|key| known.contains(&key.as_str()))) {
            return Some(refusal(400, "InvalidRequestContent", "an unknown field"));
        }
        if let Some(content) = change["properties"]["serializedData"].as_str() {
            content.clone_into(&mut workbook.content);
        }
        workbook.revision += 1;
        workbook.resource(false)
    };
    // Another person saves it right after it was read.
    if let Some(content) = edit {
        workbook.content = content;
        workbook.revision += 1;
    }
    Some(
        (
            [(header::CONTENT_TYPE, "application/json")],
            answer.to_string(),
        )
            .into_response(),
    )
}
