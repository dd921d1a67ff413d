//! Azure Resource Manager: single plans, subscriptions and settings of
//! accounts, and workbooks.
//!
//! Sources: <https://learn.microsoft.com/rest/api/defenderforcloud/pricings/get>,
//! <https://learn.microsoft.com/rest/api/resources/subscriptions/get>,
//! <https://learn.microsoft.com/rest/api/azure/azure-resource-manager>

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use functions::coverage::change::{Answer, Question, plan_of, subscription_of};
use futures::{StreamExt, stream};
use reqwest::{Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::{
    config::Config,
    http::{self, HttpClient},
    identity::Identity,
    retry,
};

/// Largest answer: a page of workbooks with their content.
const MAX_BYTES: usize = 16 << 20;

/// Pages of one list.
const MOST_PAGES: usize = 1_000;

/// Calls at a time; a subscription takes 250 reads at once and 25 a second.
const AT_A_TIME: usize = 8;

/// What a resource is.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// It is there.
    Found(Value),
    /// Resource Manager itself says that it is not there.
    NotFound,
    /// The identity may not see it.
    Refused,
    /// It belongs to another tenant than the identity's token.
    Elsewhere,
}

/// Why Resource Manager gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ArmError {
    /// Stable code.
    pub code: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// More for the log.
    pub cause: String,
}

/// Azure Resource Manager.
#[derive(Debug)]
pub struct ResourceManagerClient {
    url: Url,
    audience: String,
    http: Arc<HttpClient>,
    identity: Arc<Identity>,
}

impl ResourceManagerClient {
    /// A client for the Resource Manager of the settings.
    pub fn new(config: &Config, http: Arc<HttpClient>, identity: Arc<Identity>) -> Self {
        Self {
            url: config.arm_url.clone(),
            audience: config.arm_audience.clone(),
            http,
            identity,
        }
    }

    /// Answers questions; one that could not be asked has no answer.
    pub async fn answers(
        &self,
        questions: Vec<Question>,
        deadline: Instant,
    ) -> BTreeMap<Question, Answer> {
        stream::iter(questions)
            .map(|question| async move {
                let answer = self.answer(&question, deadline).await;
                answer.map(|answer| (question, answer))
            })
            .buffer_unordered(AT_A_TIME)
            .filter_map(|answer| async { answer })
            .collect()
            .await
    }

    async fn answer(&self, question: &Question, deadline: Instant) -> Option<Answer> {
        let (path, version) = match question {
            Question::Subscription(id) => (format!("/subscriptions/{id}"), "2022-12-01"),
            Question::Plan(id, plan) => (
                format!("/subscriptions/{id}/providers/Microsoft.Security/pricings/{plan}"),
                "2024-01-01",
            ),
        };
        let found = self.get(&path, &[("api-version", version)], deadline).await;
        match (found, question) {
            (Ok(Resource::NotFound), _) => Some(Answer::NotFound),
            (Ok(Resource::Elsewhere), Question::Subscription(_)) => Some(Answer::Elsewhere),
            (Ok(Resource::Refused | Resource::Elsewhere), _) => Some(Answer::Refused),
            (Ok(Resource::Found(value)), Question::Subscription(_)) => {
                subscription_of(&value).map(Answer::Subscription)
            }
            (Ok(Resource::Found(value)), Question::Plan(id, _)) => {
                plan_of(id, &value).map(|plan| Answer::Plan(Box::new(plan)))
            }
            (Err(error), _) => {
                tracing::warn!(code = error.code, cause = error.cause, "{}", error.detail);
                None
            }
        }
    }

    /// The Defender setting of AI accounts, by their ids: `Enabled`, `Disabled`
    /// or another word of Azure. What could not be read is not there.
    /// Source: <https://learn.microsoft.com/rest/api/aiservices/accountmanagement/defender-for-ai-settings>
    pub async fn account_settings(
        &self,
        accounts: Vec<String>,
        deadline: Instant,
    ) -> BTreeMap<String, String> {
        stream::iter(accounts)
            .map(|id| async move {
                let path = format!("{id}/defenderForAISettings");
                let query = [("api-version", "2024-10-01")];
                match self.get(&path, &query, deadline).await {
                    Ok(Resource::Found(value)) => {
                        let state = value["value"][0]["properties"]["state"].as_str()?;
                        Some((id, state.to_owned()))
                    }
                    _ => None,
                }
            })
            .buffer_unordered(AT_A_TIME)
            .filter_map(|setting| async { setting })
            .collect()
            .await
    }

    /// A resource. `path` is its id, with slashes.
    ///
    /// # Errors
    /// [`ArmError`], after retries.
    pub async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Resource, ArmError> {
        self.get_url(self.at(path, query), deadline).await
    }

    /// All items of a list, page by page.
    ///
    /// # Errors
    /// [`ArmError`]; also for a list that does not end, or goes on elsewhere.
    pub async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Vec<Value>, ArmError> {
        let (mut items, mut next) = (Vec::new(), Some(self.at(path, query)));
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else {
                return Ok(items);
            };
            let mut page = match self.get_url(url, deadline).await? {
                Resource::Found(page) => page,
                Resource::NotFound => return Ok(items),
                Resource::Refused | Resource::Elsewhere => return Err(refused(path)),
            };
            if let Value::Array(found) = page["value"].take() {
                items.extend(found);
            }
            next = self.next_page(&page)?;
        }
        Err(ArmError {
            code: "upstream_rejected",
            detail: "a list of Resource Manager does not end".to_owned(),
            cause: format!("{MOST_PAGES} pages of {path}"),
        })
    }

    /// Ids of all subscriptions below a management group, in lower case; `None`
    /// when the identity may not see the group.
    /// Source: <https://learn.microsoft.com/rest/api/managementgroups/management-groups/get-descendants>
    ///
    /// # Errors
    /// [`ArmError`].
    pub async fn subscriptions_below(
        &self,
        group: &str,
        deadline: Instant,
    ) -> Result<Option<BTreeSet<String>>, ArmError> {
        let path = format!("/providers/Microsoft.Management/managementGroups/{group}/descendants");
        let query = [("api-version", "2020-05-01"), ("$top", "1000")];
        let found = match self.list(&path, &query, deadline).await {
            Ok(found) => found,
            Err(error) if error.code == "missing_permission" => return Ok(None),
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

    /// Whether the identity may do something to a resource: `action` such as
    /// `microsoft.insights/workbooks/write`.
    /// Source: <https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource>
    ///
    /// # Errors
    /// [`ArmError`].
    pub async fn may(&self, id: &str, action: &str, deadline: Instant) -> Result<bool, ArmError> {
        let path = format!("{id}/providers/Microsoft.Authorization/permissions");
        let query = [("api-version", "2022-04-01")];
        let permissions = match self.list(&path, &query, deadline).await {
            Err(error) if error.code == "missing_permission" => return Ok(false),
            permissions => permissions?,
        };
        let names = |part: &Value| {
            let patterns = part.as_array().into_iter().flatten();
            let mut patterns = patterns.filter_map(Value::as_str);
            patterns.any(|pattern| fits(pattern, action))
        };
        let mut permissions = permissions.iter();
        Ok(permissions.any(|held| names(&held["actions"]) && !names(&held["notActions"])))
    }

    /// The time of Azure, told by an answer that everybody may have.
    ///
    /// # Errors
    /// [`ArmError`].
    pub async fn time(&self, deadline: Instant) -> Result<SystemTime, ArmError> {
        let query = [("api-version", "2022-09-01")];
        let request = Request::new(Method::GET, self.at("/metadata/endpoints", &query));
        let answer = self.http.fetch(request, MAX_BYTES, deadline).await;
        let answer = answer.map_err(|error| unavailable(&error.to_string()))?;
        let date = answer.headers.get(header::DATE);
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        date.ok_or_else(|| unavailable("no header `Date`"))
    }

    /// Where a list goes on; only on the same host, because the token goes along.
    fn next_page(&self, page: &Value) -> Result<Option<Url>, ArmError> {
        let Some(link) = page["nextLink"].as_str().filter(|link| !link.is_empty()) else {
            return Ok(None);
        };
        match Url::parse(link) {
            Ok(url) if url.origin() == self.url.origin() => Ok(Some(url)),
            _ => Err(ArmError {
                code: "upstream_rejected",
                detail: "a list of Resource Manager goes on at another host".to_owned(),
                cause: "nextLink".to_owned(),
            }),
        }
    }

    /// Changes a resource; not tried again, because the answer may be lost and
    /// the change made.
    ///
    /// # Errors
    /// [`ArmError`].
    pub async fn patch(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
        deadline: Instant,
    ) -> Result<Value, ArmError> {
        let mut request = self
            .request(Method::PATCH, self.at(path, query), deadline)
            .await?;
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        *request.body_mut() = Some(body.to_string().into());
        let answer = self.http.fetch(request, MAX_BYTES, deadline).await;
        let answer = answer.map_err(|error| unavailable(&error.to_string()))?;
        match answer.status {
            status if status.is_success() => {
                serde_json::from_slice(&answer.body).map_err(|_| unavailable("no JSON"))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refused(path)),
            _ => Err(unexpected(&answer)),
        }
    }

    fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .clear()
                .extend(path.split('/').filter(|part| !part.is_empty()));
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    async fn get_url(&self, url: Url, deadline: Instant) -> Result<Resource, ArmError> {
        let mut tries = 0;
        loop {
            let (error, hint) = match self.try_get(&url, deadline).await {
                Ok(answer) => match read(&answer) {
                    Ok(resource) => return Ok(resource),
                    Err(error) if !is_transient(answer.status) => return Err(error),
                    Err(error) => (
                        error,
                        retry::retry_after(&answer.headers, SystemTime::now()),
                    ),
                },
                Err(error) => (error, None),
            };
            let wait = retry::delay(tries, hint, fastrand::f64());
            if tries >= retry::MAX_RETRIES || Instant::now() + wait >= deadline {
                return Err(error);
            }
            sleep(wait).await;
            tries += 1;
        }
    }

    async fn try_get(&self, url: &Url, deadline: Instant) -> Result<http::Answer, ArmError> {
        let request = self.request(Method::GET, url.clone(), deadline).await?;
        let fetch = self.http.fetch(request, MAX_BYTES, deadline);
        timeout_at(deadline, fetch)
            .await
            .map_err(|_| unavailable("deadline"))?
            .map_err(|error| unavailable(&error.to_string()))
    }

    async fn request(
        &self,
        method: Method,
        url: Url,
        deadline: Instant,
    ) -> Result<Request, ArmError> {
        let no_token = |detail, cause| ArmError {
            code: "identity_unavailable",
            detail,
            cause,
        };
        let token = self.identity.token(&self.audience, deadline).await;
        let token = token.map_err(|error| no_token(error.detail, error.cause))?;
        let authorization = token
            .authorization()
            .ok_or_else(|| no_token("the identity gave an unusable token".into(), String::new()))?;
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, authorization);
        let json = header::HeaderValue::from_static("application/json");
        headers.insert(header::ACCEPT, json);
        Ok(request)
    }
}

/// Whether an action fits a pattern of a role: `*` stands for anything.
fn fits(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        last = Some(part);
        rest = &rest[at + part.len()..];
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || rest.is_empty() || action.ends_with(part),
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
}

/// Codes of a 404 that is about our question, not about what was asked for.
const ABOUT_THE_QUESTION: [&str; 4] = [
    "NoRegisteredProviderFound",
    "InvalidResourceType",
    "InvalidApiVersionParameter",
    "MissingSubscriptionRegistration",
];

/// Code of a 401 for a subscription that belongs to another tenant by now. Source:
/// <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>
const OF_ANOTHER_TENANT: &str = "InvalidAuthenticationTokenTenant";

/// What an answer means. A 404 counts only from Resource Manager, whose errors
/// are JSON: a proxy's page says nothing about a subscription.
fn read(answer: &http::Answer) -> Result<Resource, ArmError> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let code = body
        .as_ref()
        .and_then(|body| body["error"]["code"].as_str().map(str::to_owned))
        .unwrap_or_default();
    match (answer.status, body) {
        (StatusCode::OK, Some(value)) => Ok(Resource::Found(value)),
        (StatusCode::NOT_FOUND, Some(value))
            if value["error"].is_object() && !ABOUT_THE_QUESTION.contains(&code.as_str()) =>
        {
            Ok(Resource::NotFound)
        }
        (StatusCode::UNAUTHORIZED, _) if code == OF_ANOTHER_TENANT => Ok(Resource::Elsewhere),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Ok(Resource::Refused),
        _ => Err(unexpected(answer)),
    }
}

fn unexpected(answer: &http::Answer) -> ArmError {
    let status = answer.status.as_u16();
    ArmError {
        code: if is_transient(answer.status) {
            "upstream_unavailable"
        } else {
            "upstream_rejected"
        },
        detail: format!("Azure Resource Manager answered with status {status}; run it again later"),
        cause: format!("status {status}, {} bytes", answer.body.len()),
    }
}

fn unavailable(cause: &str) -> ArmError {
    ArmError {
        code: "upstream_unavailable",
        detail: "Azure Resource Manager cannot be reached or does not answer in time; check `ARM_URL` and the network".to_owned(),
        cause: cause.to_owned(),
    }
}

fn refused(path: &str) -> ArmError {
    ArmError {
        code: "missing_permission",
        detail: "Azure Resource Manager refuses the identity: grant it the role that docs/permissions.md names".to_owned(),
        cause: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_apart_from_a_question_that_was_wrong() {
        let told = |status: u16, body: &str| {
            let answer = http::Answer {
                status: StatusCode::from_u16(status).expect("a status"),
                headers: reqwest::header::HeaderMap::new(),
                body: bytes::Bytes::copy_from_slice(body.as_bytes()),
            };
            read(&answer).map_err(|error| error.code)
        };
        let error = |code: &str| format!("{{\"error\":{{\"code\":\"{code}\"}}}}");
        let gone = Ok(Resource::NotFound);
        assert_eq!(told(404, &error("SubscriptionNotFound")), gone);
        let moved = told(401, &error("InvalidAuthenticationTokenTenant"));
        assert_eq!(moved, Ok(Resource::Elsewhere));
        assert_eq!(
            told(401, &error("ExpiredAuthenticationToken")),
            Ok(Resource::Refused)
        );
        let wrong = Err("upstream_rejected");
        assert_eq!(told(404, &error("NoRegisteredProviderFound")), wrong);
        assert_eq!(told(404, "<html>"), wrong);
    }

    #[test]
    fn a_pattern_of_a_role_stands_for_what_it_names() {
        let write = "microsoft.insights/workbooks/write";
        for pattern in [
            "*",
            "*/write",
            "Microsoft.Insights/workbooks/*",
            "microsoft.insights/*/write",
            "Microsoft.Insights/Workbooks/Write",
        ] {
            assert!(fits(pattern, write), "{pattern}");
        }
        for pattern in [
            "",
            "*/read",
            "Microsoft.Insights/*/read",
            "microsoft.insights/workbooks",
            "write",
        ] {
            assert!(!fits(pattern, write), "{pattern}");
        }
    }
}
