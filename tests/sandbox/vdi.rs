//! Virtual desktops of the tenant, as hunting, the machines API and the antivirus
//! health API return them.
//!
//! A hunting query is not executed: what it summarizes determines which of the two
//! shapes is returned, and `hash(DeviceId, N) == K` in it selects a part.
//! Sources: <https://learn.microsoft.com/graph/api/security-security-runhuntingquery>,
//! <https://learn.microsoft.com/defender-endpoint/api/get-machines>,
//! <https://learn.microsoft.com/defender-endpoint/device-health-export-antivirus-health-report-api>

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State as Extract},
    http::{Method, Response, header, request::Parts},
    response::IntoResponse,
};
use serde_json::{Value, json};

use crate::{
    Call, GRAPH_AUDIENCE, State,
    defender::{error, found},
    fault, identity, lock,
};

/// Rows of a page when the request does not set a size.
const DEFAULT_ANTIVIRUS_PAGE: usize = 20;
const PAGE: usize = 10_000;
const BULK: usize = 500;

/// A device record of the tenant.
#[derive(Clone, Debug)]
pub struct VdiDevice {
    /// Its id, 40 digits.
    pub id: String,
    /// Its latest name.
    pub name: String,
    /// Names, each with the hours ago of its first and last report.
    pub names: Vec<(String, u64, u64)>,
    /// Hours since it last reported.
    pub hours: u64,
    /// Its state in hunting; the machines API writes it in lower case.
    pub onboarding: String,
    /// Health of its sensor.
    pub health: String,
    /// Tag in its registry.
    pub registry_tag: String,
    /// Tags that the API or a person added.
    pub manual_tags: Vec<String>,
    /// Tags by rule.
    pub dynamic_tags: Vec<String>,
    /// Mode of its antivirus; `None` for no row.
    pub mode: Option<String>,
    /// State of security intelligence, engine and platform: `True` if up to date.
    pub up_to_date: [String; 3],
    /// True if the machines API hides it as a duplicate.
    pub is_hidden: bool,
}

impl VdiDevice {
    /// A sound desktop with the tag.
    pub fn new(number: usize, name: &str) -> Self {
        Self {
            id: format!("{number:040x}"),
            name: name.to_owned(),
            names: Vec::new(),
            hours: 1,
            onboarding: "Onboarded".to_owned(),
            health: "Active".to_owned(),
            registry_tag: "VDI-NonPersistent".to_owned(),
            manual_tags: Vec::new(),
            dynamic_tags: Vec::new(),
            mode: Some("0".to_owned()),
            up_to_date: ["True", "True", "True"].map(str::to_owned),
            is_hidden: false,
        }
    }

    /// Last reported this many hours ago.
    #[must_use]
    pub fn seen(self, hours: u64) -> Self {
        let health = if hours > 168 { "Inactive" } else { "Active" };
        Self {
            hours,
            health: health.to_owned(),
            ..self
        }
    }

    /// With another tag in the registry.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Self {
        Self {
            registry_tag: tag.to_owned(),
            ..self
        }
    }

    fn hunted(&self) -> Value {
        // Dynamic columns come as the text of a list.
        let list = |tags: &[String]| {
            if tags.is_empty() {
                String::new()
            } else {
                json!(tags).to_string()
            }
        };
        json!({
            "DeviceId": self.id, "DeviceName": self.name, "Timestamp": ago(self.hours), "OnboardingStatus": self.onboarding,
            "SensorHealthState": self.health, "RegistryDeviceTag": self.registry_tag,
            "DeviceManualTags": list(&self.manual_tags), "DeviceDynamicTags": list(&self.dynamic_tags),
        })
    }

    fn seen_names(&self) -> Vec<Value> {
        let names = self.names.iter().map(|(name, first, last)| {
            json!({ "DeviceId": self.id, "Host": name, "FirstSeen": ago(*first), "LastSeen": ago(*last) })
        });
        names.collect()
    }

    fn machine(&self) -> Value {
        let tags: Vec<&String> = self
            .manual_tags
            .iter()
            .chain([&self.registry_tag])
            .filter(|tag| !tag.is_empty())
            .collect();
        json!({
            "id": self.id, "computerDnsName": self.name, "firstSeen": ago(2_000), "lastSeen": ago(self.hours), "osPlatform": "Windows11",
            "version": "24H2", "osProcessor": "x64", "lastIpAddress": "10.1.2.3", "lastExternalIpAddress": "203.0.113.7",
            "osBuild": 26100, "healthStatus": self.health, "rbacGroupId": 140, "rbacGroupName": "VDI", "riskScore": "None",
            "exposureLevel": "Low", "onboardingStatus": self.onboarding, "isAadJoined": false, "aadDeviceId": null, "machineTags": tags,
        })
    }

    fn antivirus(&self) -> Option<Value> {
        let mode = self.mode.as_ref()?;
        Some(json!({
            "id": format!("av-{}", self.id), "machineId": self.id, "computerDnsName": self.name, "osKind": "windows", "osPlatform": "Windows11",
            "osVersion": "10.0.26100.1", "avMode": mode, "avSignatureVersion": "1.443.10.0", "avEngineVersion": "1.1.26010.1",
            "avPlatformVersion": "4.18.26010.5", "lastSeenTime": ago(self.hours), "quickScanResult": "Completed", "quickScanError": "",
            "quickScanTime": ago(self.hours), "fullScanResult": "", "fullScanError": "", "fullScanTime": null,
            "dataRefreshTimestamp": ago(self.hours), "avIsSignatureUpToDate": self.up_to_date[0], "avIsEngineUpToDate": self.up_to_date[1],
            "avIsPlatformUpToDate": self.up_to_date[2], "rbacGroupName": "VDI", "rbacGroupId": 140,
        }))
    }
}

/// An estate with every finding, and with devices that have none.
pub fn estate() -> Vec<VdiDevice> {
    let name = |number: usize| format!("vdi-{number:03}.corp.contoso.com");
    let mut all: Vec<VdiDevice> = (1..=12)
        .map(|number| VdiDevice::new(number, &name(number)))
        .collect();
    // Three live records of one host, two of them hidden by the portal.
    all[2].name = "VDI-003".to_owned();
    for number in [103, 203] {
        all.push(VdiDevice {
            is_hidden: true,
            ..VdiDevice::new(number, "VDI-003.corp.contoso.com")
        });
    }
    // One live record, and what resets left.
    all.extend((0..4).map(|old| VdiDevice::new(300 + old, &name(4)).seen(60 + 70 * old as u64)));
    all[4].registry_tag.clear();
    all[5] = VdiDevice {
        manual_tags: vec!["VDI-NonPersistent".to_owned()],
        ..VdiDevice::new(6, &name(6)).tagged("")
    };
    all[6] = VdiDevice {
        dynamic_tags: vec!["VDI-NonPersistent".to_owned()],
        ..VdiDevice::new(7, &name(7)).tagged("")
    };
    all[7].up_to_date[0] = "False".to_owned();
    all[8].mode = Some("1".to_owned());
    all[9].up_to_date[1] = "Unknown".to_owned();
    all[10].health = "ImpairedCommunication".to_owned();
    all.push(VdiDevice::new(400, &name(20)).seen(400));
    all.push(VdiDevice {
        names: [("vdi-101", 90, 2), ("vdi-102", 80, 3), ("vdi-103", 70, 1)]
            .map(|(name, first, last)| (name.to_owned(), first, last))
            .to_vec(),
        ..VdiDevice::new(500, "vdi-103.corp.contoso.com")
    });
    all.push(VdiDevice {
        names: vec![
            ("vdi-110".to_owned(), 90, 40),
            ("vdi-111".to_owned(), 39, 1),
        ],
        ..VdiDevice::new(501, "vdi-111.corp.contoso.com")
    });
    all.push(
        VdiDevice::new(600, "gold-win11-01.corp.contoso.com")
            .tagged("")
            .seen(30),
    );
    all.push(VdiDevice::new(700, "laptop-077.corp.contoso.com").tagged(""));
    all
}

/// The time this many hours ago, as Defender writes it.
pub(crate) fn ago(hours: u64) -> String {
    let at = identity::seconds() - i64::try_from(hours * 3_600).unwrap_or_default();
    let (days, rest) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    // Days to a date, by the algorithm for the proleptic Gregorian calendar.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * index + 2) / 5 + 1;
    let month = if index < 10 { index + 3 } else { index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.1234567Z")
}

/// Microsoft Graph: only hunting.
pub(crate) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(graph).with_state(state)
}

async fn graph(Extract(state): Extract<Arc<Mutex<State>>>, request: Request) -> Response<Body> {
    let (at, target) = (Instant::now(), request.uri().to_string());
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return error(400, "BadRequest", "no body");
    };
    let fault = fault::take(&mut lock(&state).faults, &parts.method, &target);
    if let Some(fault) = fault {
        lock(&state).graph_calls.push(Call {
            at,
            target,
            status: fault.status,
        });
        return fault.respond().await;
    }
    let mut state = lock(&state);
    let response = asked(&mut state, &parts, &body);
    state.graph_calls.push(Call {
        at,
        target,
        status: response.status().as_u16(),
    });
    response
}

fn asked(state: &mut State, parts: &Parts, body: &Bytes) -> Response<Body> {
    let Some(claims) = identity::claims(state, parts.headers.get(header::AUTHORIZATION)) else {
        return error(401, "InvalidAuthenticationToken", "no bearer token");
    };
    if claims["aud"] != GRAPH_AUDIENCE {
        return error(
            401,
            "InvalidAuthenticationToken",
            "the token is for another audience",
        );
    }
    if parts.uri.path() != "/v1.0/security/runHuntingQuery" {
        return error(404, "BadRequest", "no such path");
    }
    if parts.method != Method::POST {
        return error(405, "BadRequest", "POST only");
    }
    if !holds(&claims, "ThreatHunting.Read.All") {
        return error(403, "Forbidden", "missing application roles");
    }
    let capitals = state.hunting_capitals;
    hunt(state, body, &["Query", "Timespan"], capitals)
}

/// Answers a query in one of the two spellings.
pub(crate) fn hunt(
    state: &mut State,
    body: &Bytes,
    fields: &[&str],
    capitals: bool,
) -> Response<Body> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return error(400, "BadRequest", "the body is not a JSON object");
    };
    let query = body.get("Query").and_then(Value::as_str);
    let (Some(query), true) = (query, body.keys().all(|key| fields.contains(&key.as_str()))) else {
        return error(400, "BadRequest", "the body is not understood");
    };
    let rows = rows(state, query);
    let (schema, results) = if capitals {
        ("Schema", "Results")
    } else {
        ("schema", "results")
    };
    let mut answer = format!("{{\"{schema}\":[],\"{results}\":[");
    answer.push_str(&rows.join(","));
    answer.push_str("]}");
    if answer.len() > state.hunting_bytes {
        return error(
            400,
            "BadRequest",
            "Query execution has exceeded the allowed result size. Optimize your query by limiting the amount of results and try again.",
        );
    }
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The rows of a query, up to the maximum of a result.
fn rows(state: &State, query: &str) -> Vec<String> {
    let part = query.split_once("hash(DeviceId, ").and_then(|(_, rest)| {
        let (of, rest) = rest.split_once(") == ")?;
        let index = rest.lines().next()?;
        Some((of.parse::<u64>().ok()?, index.trim().parse::<u64>().ok()?))
    });
    let is_in = |device: &&VdiDevice| {
        part.is_none_or(|(of, index)| {
            let mut hash = DefaultHasher::new();
            device.id.hash(&mut hash);
            hash.finish() % of == index
        })
    };
    let devices = state.vdi.iter().filter(is_in);
    let all: Vec<String> = if query.contains("arg_max(Timestamp") {
        devices
            .filter(|device| device.hours < 720)
            .map(|device| device.hunted().to_string())
            .collect()
    } else {
        devices
            .flat_map(VdiDevice::seen_names)
            .map(|row| row.to_string())
            .collect()
    };
    all.into_iter().take(state.hunting_rows).collect()
}

pub(crate) fn holds(claims: &Value, role: &str) -> bool {
    claims["roles"]
        .as_array()
        .is_some_and(|roles| roles.iter().any(|held| held == role))
}

/// `GET /api/machines`, `GET /api/deviceavinfo`.
pub(crate) fn list(state: &mut State, parts: &Parts, claims: &Value) -> Response<Body> {
    if parts.method != Method::GET {
        return error(405, "BadRequest", "GET only");
    }
    if !holds(claims, "Machine.Read.All") {
        return error(403, "Forbidden", "missing application roles");
    }
    let of_antivirus = parts.uri.path().ends_with("deviceavinfo");
    let Some((top, skip)) = paging(parts, of_antivirus) else {
        return error(400, "BadRequest", "the query is not understood");
    };
    let top = top.min(state.vdi_page);
    let all: Vec<Value> = state
        .vdi
        .iter()
        .filter_map(|device| {
            if of_antivirus {
                device.antivirus()
            } else {
                (!device.is_hidden).then(|| device.machine())
            }
        })
        .skip(skip)
        .take(top + 1)
        .collect();
    if all.is_empty() && skip == 0 && !of_antivirus {
        return error(404, "ResourceNotFound", "No machines were found");
    }
    let has_more = all.len() > top;
    let mut page = json!({ "@odata.context": "https://api.security.microsoft.com/api/$metadata#Machines", "value": &all[..all.len().min(top)] });
    if has_more && state.vdi_links {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        page["@odata.nextLink"] = json!(format!(
            "http://{host}{}?$top={top}&$skip={}",
            parts.uri.path(),
            skip + top
        ));
    }
    found(&page)
}

/// `$top` and `$skip`; `None` when there is something else.
fn paging(parts: &Parts, of_antivirus: bool) -> Option<(usize, usize)> {
    let mut top = if of_antivirus {
        DEFAULT_ANTIVIRUS_PAGE
    } else {
        PAGE
    };
    let mut skip = 0;
    for pair in parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (name.replace("%24", "$").as_str(), value.parse::<usize>()) {
            ("$top", Ok(number)) if (1..=PAGE).contains(&number) => top = number,
            ("$skip", Ok(number)) => skip = number,
            _ => return None,
        }
    }
    Some((top, skip))
}

/// `POST /api/machines/AddOrRemoveTagForMultipleMachines`.
pub(crate) fn tag(
    state: &mut State,
    parts: &Parts,
    body: &Bytes,
    claims: &Value,
) -> Response<Body> {
    if parts.method != Method::POST {
        return error(405, "BadRequest", "POST only");
    }
    if !holds(claims, "Machine.ReadWrite.All") {
        return error(403, "Forbidden", "missing application roles");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let ids: Vec<&str> = body["MachineIds"]
        .as_array()
        .map(|ids| ids.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let fields = body.as_object().is_some_and(|body| body.len() == 3);
    let (Some(tag), "Add", true) = (
        body["Value"].as_str(),
        body["Action"].as_str().unwrap_or_default(),
        fields,
    ) else {
        return error(
            400,
            "BadRequest",
            "the body is not understood, or removes a tag",
        );
    };
    if ids.is_empty() || ids.len() > BULK {
        return error(400, "BadRequest", "1 to 500 machines");
    }
    if ids
        .iter()
        .any(|id| !state.vdi.iter().any(|device| device.id == *id))
    {
        return error(404, "ResourceNotFound", "a machine was not found");
    }
    for device in state
        .vdi
        .iter_mut()
        .filter(|device| ids.contains(&device.id.as_str()))
    {
        device.manual_tags.push(tag.to_owned());
    }
    state.tag_batches.push(ids.len());
    found(&json!({ "value": [] }))
}
