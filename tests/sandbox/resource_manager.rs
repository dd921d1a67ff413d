//! Azure Resource Manager: Resource Graph queries over the tenant's estate, and
//! single subscriptions, plans and settings of AI accounts.
//!
//! A query is not executed: its table determines what is returned, and its text
//! must be pageable (`project id`, `order by id asc`).
//! Source: <https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources>

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State as Extract},
    http::{Method, Response, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

use crate::{
    ARM_AUDIENCE, Call, State, fault, identity, lock,
    workbook::{self, Workbook},
};

/// 15 queries in 5 seconds.
const QUOTA: usize = 15;
const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources";
const WINDOW: Duration = Duration::from_secs(5);

pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let at = Instant::now();
    let target = request.uri().to_string();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return refusal(400, "BadRequest", "no body");
    };
    let fault = fault::take(&mut lock(&state).faults, &parts.method, &target);
    if let Some(fault) = fault {
        let call = Call {
            at,
            target,
            status: fault.status,
        };
        lock(&state).arm_calls.push(call);
        return fault.respond().await;
    }
    let mut state = lock(&state);
    let response = by_the_book(&mut state, &parts, &body, at);
    state.arm_calls.push(Call {
        at,
        target,
        status: response.status().as_u16(),
    });
    response
}

fn by_the_book(
    state: &mut State,
    request: &axum::http::request::Parts,
    body: &Bytes,
    now: Instant,
) -> Response<Body> {
    let json = [(header::CONTENT_TYPE, "application/json")];
    if request.uri.path() == "/metadata/endpoints" {
        return (json, "{}").into_response();
    }
    let Some(claims) = identity::claims(state, request.headers.get(header::AUTHORIZATION)) else {
        return refusal(401, "AuthenticationFailed", "no bearer token");
    };
    if claims["aud"] != ARM_AUDIENCE {
        return refusal(
            401,
            "InvalidAuthenticationTokenAudience",
            "another audience",
        );
    }
    if let Some(list) = list(state, request) {
        return (json, json!({ "value": list }).to_string()).into_response();
    }
    if request.uri.path() != GRAPH {
        return workbook::answer(state, request, body).unwrap_or_else(|| single(state, request));
    }
    if request.method != Method::POST || request.uri.query() != Some("api-version=2024-04-01") {
        return refusal(400, "BadRequest", "POST with api-version 2024-04-01");
    }
    let json_type = request.headers.get(header::CONTENT_TYPE);
    if json_type.is_none_or(|kind| kind != "application/json") {
        return refusal(500, "InternalServerError", "the content type must be JSON");
    }
    let recent = state
        .arm_calls
        .iter()
        .filter(|call| {
            call.target.starts_with(GRAPH)
                && call.status == 200
                && now.saturating_duration_since(call.at) < WINDOW
        })
        .count();
    if state.arm_quota && recent >= QUOTA {
        let mut throttled = refusal(429, "RateLimiting", "Client application has been throttled");
        quota_headers(&mut throttled, 0);
        return throttled;
    }
    let page = match page(state, body) {
        Ok(page) => page.to_string(),
        Err((code, why)) => return refusal(400, code, why),
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    let mut page = (json, page).into_response();
    let left = if state.arm_quota {
        QUOTA - recent - 1
    } else {
        QUOTA
    };
    quota_headers(&mut page, left);
    page
}

/// The contents of a management group, and the identity's rights on a workbook.
fn list(state: &State, request: &axum::http::request::Parts) -> Option<Vec<Value>> {
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    if let Some(rest) = path.strip_prefix("/providers/Microsoft.Management/managementGroups/") {
        let group = rest.strip_suffix("/descendants")?;
        let is_version = query.starts_with("api-version=2020-05-01");
        let all = state.tenant.estate.subscriptions.iter();
        let below = all.filter(|one| {
            group == crate::TENANT_ID
                || words_of(&one["mgChain"], "name").contains(&group.to_owned())
        });
        let rows = below.map(|one| {
            json!({ "id": format!("/subscriptions/{}", one["subscriptionId"].as_str().unwrap_or_default()), "type": "/subscriptions", "name": one["subscriptionId"] })
        });
        let group = json!({ "id": "/providers/Microsoft.Management/managementGroups/x", "type": "Microsoft.Management/managementGroups", "name": "x" });
        return is_version.then(|| rows.chain([group]).collect());
    }
    let is_of_workbook = path.contains("/workbooks/")
        && path.ends_with("/providers/Microsoft.Authorization/permissions");
    (is_of_workbook && query == "api-version=2022-04-01").then(|| {
        let writes = json!({ "actions": ["Microsoft.Insights/workbooks/*"], "notActions": [] });
        let reads = json!({ "actions": ["*/read"], "notActions": [] });
        if state.can_write_workbooks {
            vec![reads, writes]
        } else {
            vec![reads]
        }
    })
}

/// A single resource as Resource Manager has it.
///
/// Resource Graph may not have it yet.
fn single(state: &State, request: &axum::http::request::Parts) -> Response<Body> {
    let estate = state.truth.as_ref().unwrap_or(&state.tenant.estate);
    let segments: Vec<&str> = request.uri.path().split('/').skip(1).collect();
    let (version, found) = match segments[..] {
        ["subscriptions", id] => ("2022-12-01", estate.subscription_resource(id)),
        [
            "subscriptions",
            id,
            "providers",
            "Microsoft.Security",
            "pricings",
            plan,
        ] => ("2024-01-01", estate.pricing_resource(id, plan)),
        [
            ..,
            "Microsoft.CognitiveServices",
            "accounts",
            _,
            "defenderForAISettings",
        ] => {
            let path = request.uri.path();
            let account = path.trim_end_matches("/defenderForAISettings");
            ("2024-10-01", estate.defender_for_ai_settings(account))
        }
        _ => return refusal(404, "NotFound", "no such path"),
    };
    let query = request.uri.query().unwrap_or_default();
    if request.method != Method::GET || query != format!("api-version={version}") {
        return refusal(
            400,
            "InvalidApiVersionParameter",
            "GET with the api-version",
        );
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    match found {
        Some(resource) => (json, resource.to_string()).into_response(),
        None => refusal(404, "NotFound", "no such resource"),
    }
}

fn quota_headers(response: &mut Response<Body>, left: usize) {
    let headers = response.headers_mut();
    headers.insert("x-ms-user-quota-remaining", left.into());
    headers.insert(
        "x-ms-user-quota-resets-after",
        header::HeaderValue::from_static("00:00:05"),
    );
}

type Refusal = (&'static str, &'static str);

/// A page of the results of a query, which are kept for the next page.
fn page(state: &mut State, body: &Bytes) -> Result<Value, Refusal> {
    let body = serde_json::from_slice::<Value>(body);
    let body = body.map_err(|_| ("InvalidRequestBody", "not JSON"))?;
    let fields = ["query", "options", "subscriptions", "managementGroups"];
    let known = |key: &String| fields.contains(&key.as_str());
    if !body.as_object().is_some_and(|body| body.keys().all(known)) {
        return Err(("InvalidRequestBody", "an unknown field"));
    }
    let options = &body["options"];
    let top = options["$top"].as_u64().unwrap_or(100) as usize;
    if options["resultFormat"] != "objectArray" || !(1..=1_000).contains(&top) {
        return Err(("InvalidQueryOptions", "$top 1 to 1000 and objectArray"));
    }
    let asked = json!([
        body["query"],
        body["managementGroups"],
        body["subscriptions"]
    ])
    .to_string();
    let rows = match state.found.get(&asked) {
        Some(rows) => Arc::clone(rows),
        None => Arc::new(find(state, &body)?),
    };
    state.found.insert(asked, Arc::clone(&rows));
    let first = match options["$skipToken"].as_str() {
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| ("InvalidSkipToken", "no token of ours"))?,
        None => 0,
    };
    let first = first.min(rows.len());
    let next = rows.len().min(first + top.min(state.arm_page));
    let mut answer = json!({
        "totalRecords": rows.len(), "count": next - first, "resultTruncated": "false", "facets": [], "data": rows[first..next],
    });
    if next < rows.len() {
        answer["$skipToken"] = json!(next.to_string());
    }
    Ok(answer)
}

/// All rows of a query, by id.
fn find(state: &State, body: &Value) -> Result<Vec<Value>, Refusal> {
    let estate = &state.tenant.estate;
    let text = body["query"].as_str().unwrap_or_default();
    let pageable = text.contains("project id,") && text.trim_end().ends_with("order by id asc");
    if !pageable {
        return Err(("InvalidQuery", "rows have no stable order"));
    }
    let scope = Scope {
        groups: words(&body["managementGroups"]),
        subscriptions: words(&body["subscriptions"]),
    };
    let visible = estate.subscriptions.iter();
    let is_hidden = |one: &&Value| {
        let id = one["subscriptionId"].as_str().unwrap_or_default();
        state.hidden.contains(id)
    };
    let visible: Vec<&Value> = visible
        .filter(|one| scope.has(one) && !is_hidden(one))
        .collect();
    if visible.is_empty() {
        return Err((
            "NoValidSubscriptionsInQueryRequest",
            "There must be at least one subscription that is eligible to contain resources.",
        ));
    }
    let workbooks: Vec<Value> = state.workbooks.iter().map(Workbook::row).collect();
    let mut rows = match text.split_whitespace().next() {
        Some("resourcecontainers") => visible,
        Some("securityresources") => of(&estate.pricings, &visible),
        Some("resources") if text.contains("microsoft.insights/workbooks") => {
            of(&workbooks, &visible)
        }
        Some("resources") => of(&estate.ai_resources, &visible),
        _ => return Err(("InvalidQuery", "an unknown table")),
    };
    rows.sort_by(|one, other| one["id"].as_str().cmp(&other["id"].as_str()));
    Ok(rows.into_iter().cloned().collect())
}

struct Scope {
    groups: Vec<String>,
    subscriptions: Vec<String>,
}

impl Scope {
    fn has(&self, subscription: &Value) -> bool {
        let id = subscription["subscriptionId"].as_str().unwrap_or_default();
        let chain = words_of(&subscription["mgChain"], "name");
        let is_unrestricted = self.groups.is_empty() && self.subscriptions.is_empty();
        is_unrestricted
            || self
                .subscriptions
                .iter()
                .any(|one| one.eq_ignore_ascii_case(id))
            || self.groups.iter().any(|group| chain.contains(group))
    }
}

fn words(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn words_of(list: &Value, field: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item[field].as_str().map(str::to_owned))
        .collect()
}

fn of<'a>(rows: &'a [Value], visible: &[&Value]) -> Vec<&'a Value> {
    let ids: std::collections::HashSet<&str> = visible
        .iter()
        .filter_map(|subscription| subscription["subscriptionId"].as_str())
        .collect();
    rows.iter()
        .filter(|row| {
            row["subscriptionId"]
                .as_str()
                .is_some_and(|id| ids.contains(id))
        })
        .collect()
}

/// An error whose outer code says nothing; the details say what is wrong.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "error": {
        "code": "BadRequest",
        "message": "Please provide below info when asking for support: timestamp = 2026-11-23T06:00:00Z, correlationId = 0.",
        "details": [{ "code": code, "message": message }],
    } });
    let status = axum::http::StatusCode::from_u16(status).unwrap_or_default();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
