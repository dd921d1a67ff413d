//! From a request to the function that answers it.
//!
//! Real paths (forwarded HTTP) and `POST /{FunctionName}` (envelope) share one path
//! space, so a name that equals a path is refused at start.

use std::{fmt, future::Future, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use futures::{FutureExt, future::BoxFuture};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::Service;

use super::problem_code::ProblemCode;
use super::{
    ApiError, Gate, Invocation, Reply, Role, answer,
    host::{self, INVOCATION_ID_HEADER},
    wrapped_http,
};

/// Requests at a time; more are answered 503 immediately. `GET /` is not counted.
pub const MAX_REQUESTS: usize = 256;

/// Who may call an HTTP function.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Everyone, without a token.
    Public,
    /// A caller with the role of the method.
    Role(fn(&Method) -> Role),
    /// The route asks the gate itself, for example after it has read the body.
    ByRoute,
}

/// The work of a timer function.
type TimerWork =
    Arc<dyn Fn(Invocation) -> BoxFuture<'static, Result<Reply, ApiError>> + Send + Sync>;

enum Trigger {
    Http { path: &'static str, access: Access },
    Timer(TimerWork),
}

struct Function {
    name: &'static str,
    trigger: Trigger,
}

/// A function name that cannot be served; the table has to be corrected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionNameError {
    /// The name is a path as well, so the host's envelope would not arrive.
    #[error("the function name `{0}` is also the start of the path `{1}`")]
    Collision(&'static str, &'static str),
    /// Not `^[a-z][a-z0-9_-]{0,127}$`, or `host`.
    #[error("`{0}` is not a function name")]
    Invalid(&'static str),
    /// Two functions with one name.
    #[error("the function name `{0}` is used twice")]
    Duplicate(&'static str),
}

/// Collects functions for an [`App`].
#[derive(Default)]
pub struct Functions {
    functions: Vec<Function>,
    router: Router,
}

impl Functions {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An HTTP function: its routes are `path` and what is below it.
    #[must_use]
    pub fn http(
        mut self,
        name: &'static str,
        path: &'static str,
        access: Access,
        routes: Router,
    ) -> Self {
        let trigger = Trigger::Http { path, access };
        self.functions.push(Function { name, trigger });
        self.router = self.router.merge(routes);
        self
    }

    /// A timer function, which the host always wraps in an envelope.
    #[must_use]
    pub fn timer<F>(
        mut self,
        name: &'static str,
        work: impl Fn(Invocation) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
    {
        let trigger = Trigger::Timer(Arc::new(move |invocation| work(invocation).boxed()));
        self.functions.push(Function { name, trigger });
        self
    }

    /// The functions behind a gate.
    ///
    /// # Errors
    /// [`FunctionNameError`].
    pub fn build(self, gate: Gate) -> Result<App, FunctionNameError> {
        self.check_names()?;
        Ok(App(Arc::new(Shared {
            functions: self.functions,
            router: self.router,
            gate,
            permits: Semaphore::new(MAX_REQUESTS),
        })))
    }

    fn check_names(&self) -> Result<(), FunctionNameError> {
        let paths = self.functions.iter().filter_map(Function::path);
        for (index, name) in self.functions.iter().map(|known| known.name).enumerate() {
            if !is_function_name(name) {
                return Err(FunctionNameError::Invalid(name));
            }
            if self.functions[..index]
                .iter()
                .any(|known| known.name == name)
            {
                return Err(FunctionNameError::Duplicate(name));
            }
            let starts_with_name = |path: &&str| path.split('/').nth(1) == Some(name);
            if let Some(path) = paths.clone().find(starts_with_name) {
                return Err(FunctionNameError::Collision(name, path));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.functions.iter().map(|function| function.name);
        f.debug_list().entries(names).finish()
    }
}

impl Function {
    fn path(&self) -> Option<&'static str> {
        match self.trigger {
            Trigger::Http { path, .. } => Some(path),
            Trigger::Timer(_) => None,
        }
    }

    /// Returns true if a request to this path is for the function.
    fn serves(&self, path: &str) -> bool {
        let below = self.path().and_then(|own| path.strip_prefix(own));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// `^[a-z][a-z0-9_-]{0,127}$` and not `host`, as the Functions host wants it.
fn is_function_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    name != "host" && name.len() <= 128 && starts_well && name.chars().all(plain)
}

/// The service: every request finds its function here.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    functions: Vec<Function>,
    router: Router,
    gate: Gate,
    permits: Semaphore,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Answers a request; never fails.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let request = host::normalize_path(request);
        let path = request.uri().path();
        if path == "/" {
            return ready();
        }
        if let Some(function) = self.0.functions.iter().find(|known| known.serves(path)) {
            let work = |request| self.http(function, request);
            return host::invocation(function.name, request, work).await;
        }
        let named = |known: &&Function| path.strip_prefix('/') == Some(known.name);
        if let Some(function) = self.0.functions.iter().find(named) {
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
        let _permit = self
            .0
            .permits
            .try_acquire()
            .map_err(|_| ApiError::overloaded())?;
        if let Access::Role(role) = access {
            let role = role(request.method());
            self.0.gate.admit(role, &mut request).await?;
        }
        let mut router = self.0.router.clone();
        let response = match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        as_problem(response)
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
