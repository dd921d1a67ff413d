//! Azure Resource Manager: what its responses mean, single resources, lists, and
//! changes.
//!
//! Source: <https://learn.microsoft.com/rest/api/azure/azure-resource-manager>

mod access;
mod list;
mod pricings;
mod workbooks;

use std::{sync::Arc, time::SystemTime};

use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::{
    config::Config,
    outbound::{
        Code, Endpoint, Failure, HttpClient, Identity, Kind, Meaning, Outbound, Refusals, Repeat,
        Reply, Request, Service, limiter::Limiter,
    },
};

pub(crate) use workbooks::workbook_changed;

/// Largest response: a page of workbooks with their content.
const MAX_BYTES: usize = 16 << 20;

/// Calls at a time; a subscription allows 250 reads in a burst and 25 a second.
const MAX_IN_FLIGHT: usize = 8;

/// A resource, or the reason why it is not shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// It exists.
    Found(Value),
    /// Resource Manager itself says that it does not exist.
    NotFound,
    /// The identity may not see it.
    Refused,
    /// It belongs to another tenant than the identity's token.
    Elsewhere,
}

/// Azure Resource Manager.
#[derive(Debug)]
pub struct ResourceManagerClient {
    outbound: Outbound,
    endpoint: Endpoint,
}

impl ResourceManagerClient {
    /// A client for the Resource Manager of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        let service = Service {
            name: "Azure Resource Manager".to_owned(),
            base: config.resource_manager.url.clone(),
            url_setting: "ARM_URL",
            audience: config.resource_manager.audience.clone(),
            audience_setting: "ARM_AUDIENCE",
        };
        let limiter = Limiter::by_responses(MAX_IN_FLIGHT);
        // The role on one resource says nothing about the next one.
        let refusals = Refusals::ConcernOneResource;
        Self {
            outbound: Outbound::new(service, http, identity),
            endpoint: Endpoint::new("Azure Resource Manager", limiter, refusals),
        }
    }

    /// A resource. `path` is its id, with slashes.
    ///
    /// # Errors
    /// [`Failure`], after retries.
    async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Resource, Failure> {
        self.get_url(self.at(path, query), deadline).await
    }

    /// The time of Azure, from a response that any caller can get.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn time(&self, deadline: Instant) -> Result<SystemTime, Failure> {
        let query = [("api-version", "2022-09-01")];
        let url = self.at("/metadata/endpoints", &query);
        let request = Request::get(url, MAX_BYTES).anonymous();
        let date_of = |reply: &Reply<'_>| {
            if !reply.status().is_success() {
                return reply.standard();
            }
            let date = reply.response.headers.get(header::DATE);
            let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
            match date {
                Some(date) => Meaning::Done(date),
                None => Meaning::Failed(reply.protocol("it has no header `Date`")),
            }
        };
        self.outbound
            .call(&self.endpoint, &request, deadline, date_of)
            .await
    }

    /// Changes a resource. The request is not sent again if the response is lost,
    /// because the change may have been made.
    ///
    /// # Errors
    /// [`Failure`].
    async fn patch(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let url = self.at(path, query);
        let request = Request::json(Method::PATCH, url, body, Repeat::Never, MAX_BYTES);
        let changed = |reply: &Reply<'_>| match reply.status() {
            status if status.is_success() && reply.response.body.is_empty() => {
                Meaning::Done(Value::Null)
            }
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => match reply.read() {
                Ok(value) => Meaning::Done(value),
                Err(_) => Meaning::Failed(reply.protocol("it is not valid JSON")),
            },
            _ => reply.standard(),
        };
        self.outbound
            .call(&self.endpoint, &request, deadline, changed)
            .await
    }

    fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut url = self.outbound.service().url(&segments, None);
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    async fn get_url(&self, url: Url, deadline: Instant) -> Result<Resource, Failure> {
        let request = Request::get(url, MAX_BYTES);
        self.outbound
            .call(&self.endpoint, &request, deadline, meaning)
            .await
    }
}

/// Codes of a 404 that is about our request, not about the resource.
const ABOUT_THE_QUESTION: [&str; 4] = [
    "NoRegisteredProviderFound",
    "InvalidResourceType",
    "InvalidApiVersionParameter",
    "MissingSubscriptionRegistration",
];

/// Code of a 401 for a subscription that belongs to another tenant by now. Source:
/// <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>
const OF_ANOTHER_TENANT: &str = "InvalidAuthenticationTokenTenant";

/// The meaning of a response. A 404 counts only from Resource Manager, whose errors
/// are JSON: the page of a proxy says nothing about a subscription.
fn meaning(reply: &Reply<'_>) -> Meaning<Resource> {
    let body: Option<Value> = reply.read().ok();
    let code = body
        .as_ref()
        .and_then(|body| body["error"]["code"].as_str().map(str::to_owned))
        .unwrap_or_default();
    match (reply.status(), body) {
        (StatusCode::OK, Some(value)) => Meaning::Done(Resource::Found(value)),
        (StatusCode::OK, None) => Meaning::Failed(reply.protocol("it is not valid JSON")),
        (StatusCode::NOT_FOUND, Some(value))
            if value["error"].is_object() && !ABOUT_THE_QUESTION.contains(&code.as_str()) =>
        {
            Meaning::Done(Resource::NotFound)
        }
        (StatusCode::UNAUTHORIZED, _) if code == OF_ANOTHER_TENANT => {
            Meaning::Done(Resource::Elsewhere)
        }
        (StatusCode::FORBIDDEN, _) => Meaning::Done(Resource::Refused),
        _ => reply.standard(),
    }
}

fn undocumented(detail: &str, cause: &str) -> Failure {
    Failure::new(Kind::Protocol, Code::UpstreamProtocol, detail, cause)
}

fn forbidden(path: &str) -> Failure {
    let detail = "Azure Resource Manager refuses the identity: grant it the role that docs/permissions.md names";
    Failure::new(Kind::Forbidden, Code::MissingPermission, detail, path).with_status(403)
}

#[cfg(test)]
mod tests;
