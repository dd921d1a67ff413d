//! Finds the function that answers a request, and calls it.
//!
//! Real paths (forwarded HTTP) and `POST /{FunctionName}` (envelope) share one path
//! space, so a name that equals a path is refused at start.

mod registry;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use futures::FutureExt;
use serde_json::json;
use tokio::sync::Semaphore;
use tower::Service;

use super::problem_code::ProblemCode;
use super::{
    ApiError, Gate, Invocation, Reply, answer,
    host::{self, INVOCATION_ID_HEADER},
    local,
    permit::Permit,
    rest_of_body, wrapped_http,
};
use registry::{Function, Trigger};

pub use registry::{Access, FunctionNameError, Functions};

/// Requests at a time; more are answered 503 immediately.
///
/// A request counts when its caller is let in, and not while its body arrives. `GET /` is
/// not counted, and those of functions that need no token count apart, so that
/// `/api/health` answers while others are busy.
pub const MAX_REQUESTS: usize = 256;

/// The service: every request finds its function here.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    /// True if only the person at this machine is served.
    is_local: bool,
}

struct Shared {
    functions: Vec<Function>,
    router: Router,
    gate: Gate,
    permits: Arc<Semaphore>,
    public_permits: Arc<Semaphore>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// The same for the person at this machine only: other host names, and pages of other
    /// sites in their browser, are refused.
    #[must_use]
    pub fn for_this_machine(self) -> Self {
        Self {
            is_local: true,
            ..self
        }
    }

    /// Answers a request; never fails.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let (request, rest) = rest_of_body::watch(request);
        let response = self.dispatch(request).await;
        match rest {
            Some(rest) => rest.before(response).await,
            None => response,
        }
    }

    async fn dispatch(&self, request: Request) -> Response<Body> {
        if self.is_local
            && let Err(refused) = local::check(&request)
        {
            return host::invocation("-", request, |_| async { Err::<Reply, _>(refused) }).await;
        }
        let request = host::normalize_path(request);
        let path = request.uri().path();
        if path == "/" {
            return ready();
        }
        if let Some(function) = self
            .shared
            .functions
            .iter()
            .find(|known| known.serves(path))
        {
            let work = |request| self.http(function, request);
            return host::invocation(function.name, request, work).await;
        }
        let named = |known: &&Function| path.strip_prefix('/') == Some(known.name);
        if let Some(function) = self.shared.functions.iter().find(named) {
            let work = |request| self.envelope(function, request).boxed();
            return host::invocation(function.name, request, work).await;
        }
        host::invocation("-", request, unknown_path).await
    }

    /// A request to the path of a function. A wrapped request comes here too, so that
    /// it is shed inside its envelope, or the host would count a failed invocation.
    async fn http(
        &self,
        function: &Function,
        mut request: Request,
    ) -> Result<Response<Body>, ApiError> {
        let Trigger::Http { access, .. } = function.trigger else {
            return Err(ApiError::not_found());
        };
        let permits = match access {
            Access::Role(role) => {
                let role = role(request.method());
                self.shared.gate.admit(role, &mut request).await?;
                &self.shared.permits
            }
            Access::Public | Access::ByRoute => &self.shared.public_permits,
        };
        // Only a request with a body gives its permit back meanwhile.
        let has_body = !request.body().is_end_stream();
        let permit = has_body.then(|| Permit::take(permits)).transpose()?;
        let _held = match &permit {
            Some(permit) => {
                request.extensions_mut().insert(permit.clone());
                None
            }
            None => Some(permits.try_acquire().map_err(|_| ApiError::overloaded())?),
        };
        let known = request.headers().get_all(header::IF_NONE_MATCH);
        let known: Vec<_> = known.iter().cloned().collect();
        let mut router = self.shared.router.clone();
        let response = match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        permit.iter().for_each(Permit::give_back);
        let response = as_problem(response)?;
        Ok(match known.is_empty() {
            true => response,
            false => answer::if_changed(response, &known),
        })
    }

    /// A request that the host wrapped.
    async fn envelope(&self, function: &Function, request: Request) -> Result<Reply, ApiError> {
        if request.method() != Method::POST {
            return Err(ApiError::method_not_allowed("POST"));
        }
        let invocation = Invocation::read(request).await?;
        match &function.trigger {
            Trigger::Timer(work) => work(invocation).await,
            Trigger::Http { .. } => {
                let wrapped = host::normalize_path(wrapped_http::unwrap(&invocation)?);
                let response = match function.serves(wrapped.uri().path()) {
                    true => self.http(function, wrapped).await.into_response(),
                    false => ApiError::not_found().into_response(),
                };
                wrapped_http::wrap(response).await
            }
        }
    }
}

/// The router's own answers to an unknown path or method, as problems.
fn as_problem(response: Response<Body>) -> Result<Response<Body>, ApiError> {
    let has_body = response.headers().contains_key(header::CONTENT_TYPE);
    match response.status() {
        StatusCode::NOT_FOUND if !has_body => Err(ApiError::not_found()),
        StatusCode::METHOD_NOT_ALLOWED if !has_body => {
            let allow = response.headers().get(header::ALLOW);
            let allow = allow
                .and_then(|allow| allow.to_str().ok())
                .unwrap_or_default();
            let methods: Vec<&str> = allow.split(',').filter(|name| *name != "HEAD").collect();
            Err(ApiError::method_not_allowed(&methods.join(", ")))
        }
        _ => Ok(response),
    }
}

/// The host asks `GET /` until something answers.
fn ready() -> Response<Body> {
    let ready = json!({ "name": "defender-functions", "version": env!("CARGO_PKG_VERSION") });
    answer::json_bytes(ready.to_string().into())
}

/// A path that belongs to no function. An envelope among them is the host's and a
/// failed invocation, which it reports to no one: so the log has to.
async fn unknown_path(request: Request) -> Result<Response<Body>, ApiError> {
    let single_segment = !request.uri().path().trim_matches('/').contains('/');
    let from_host = request.headers().contains_key(INVOCATION_ID_HEADER);
    let problem = ApiError::not_found();
    if request.method() == Method::POST && single_segment && from_host {
        return Err(ApiError {
            code: ProblemCode::EnvelopeUnknownFunction,
            cause: "is the package older than its functions?".to_owned(),
            ..problem
        });
    }
    Err(problem)
}
