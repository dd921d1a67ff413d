//! One line for each function: its name and how it is reached.
//!
//! Real paths (forwarded HTTP) and `POST /{FunctionName}` (envelope) share one
//! path space, so a name that equals a path is refused at start.

use std::{convert::Infallible, future::Future, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{Method, Response},
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::{MethodRouter, any, get, post},
};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::{
    Layer,
    util::{MapRequest, MapRequestLayer},
};

use crate::{
    auth::{self, Gate, Role},
    error::ApiError,
    host::{self, envelope::Invocation, reply::Reply, wrapped_http},
    routes::{self, explorer::Explorer},
    services::Services,
};

/// Requests at a time; more are answered 503 at once. `GET /` is not counted.
pub const MOST_REQUESTS: usize = 256;

/// All routes, with paths read without regard to case.
pub type App = MapRequest<Router, fn(Request) -> Request>;

/// What the callers of a function need.
#[derive(Clone, Debug)]
pub struct Access {
    gate: Gate,
    role: Role,
}

/// A function name that cannot be served; the build has to be mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionNameError {
    /// The name is a path as well, so the host's envelope would not arrive.
    #[error("the function name `{0}` is also the start of the path `{1}`")]
    Collision(&'static str, &'static str),
    /// Not `^[a-z][a-z0-9_-]{0,127}$`, or `host`.
    #[error("`{0}` is no function name")]
    Invalid(&'static str),
    /// Two functions with one name.
    #[error("the function name `{0}` is used twice")]
    Twice(&'static str),
}

/// The product's functions.
///
/// # Errors
/// [`FunctionNameError`], a mistake in this file.
pub fn app(
    services: Services,
    gate: &Gate,
    explorer: Arc<Explorer>,
) -> Result<App, FunctionNameError> {
    let services = Arc::new(services);
    let needs = |role| Access {
        gate: gate.clone(),
        role,
    };
    Functions::new()
        .http(
            "hash_lookup",
            routes::hashes::PATH,
            Some(needs(Role::HashesRead)),
            any(routes::hashes::hash_lookup).with_state(services),
        )
        .http(
            "explorer",
            routes::explorer::PATH,
            None,
            any(routes::explorer::explorer).with_state(explorer),
        )
        .build()
}

/// Collects functions and makes the routes of them.
#[derive(Debug)]
pub struct Functions {
    names: Vec<&'static str>,
    paths: Vec<&'static str>,
    routes: Vec<(&'static str, Router)>,
    permits: Arc<Semaphore>,
}

impl Default for Functions {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(MOST_REQUESTS));
        Self {
            names: Vec::new(),
            paths: Vec::new(),
            routes: Vec::new(),
            permits,
        }
    }
}

impl Functions {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An HTTP function: at `path` and below it, and by envelope. `access` is
    /// what its callers need; `None` lets everybody in.
    #[must_use]
    pub fn http(
        mut self,
        name: &'static str,
        path: &'static str,
        access: Option<Access>,
        handler: MethodRouter,
    ) -> Self {
        let permits = Arc::clone(&self.permits);
        // A wrapped request is shed inside its envelope, or the host would make
        // a failed invocation of it.
        let handler = handler.layer(from_fn(move |request, next| {
            admit(Arc::clone(&permits), access.clone(), request, next)
        }));
        let below = |suffix: &str| format!("{path}{suffix}");
        let routes = Router::new()
            .route(path, handler.clone())
            .route(&below("/"), handler.clone())
            .route(&below("/{*rest}"), handler);
        let wrapped = invoked(name, routes.clone().fallback(unknown_path));
        let by_envelope = move |request: Request| wrapped_http::run(wrapped.clone(), request);
        self.paths.push(path);
        self.routes.push((name, routes));
        self.by_envelope(name, post(by_envelope))
    }

    /// A timer or queue function, which the host always wraps.
    #[must_use]
    pub fn envelope<F>(
        self,
        name: &'static str,
        work: impl Fn(Invocation) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, ApiError>> + Send,
    {
        let by_envelope = move |request: Request| {
            let work = work.clone();
            async move { work(Invocation::read(request).await?).await }
        };
        self.by_envelope(name, post(by_envelope))
    }

    fn by_envelope(mut self, name: &'static str, handler: MethodRouter) -> Self {
        let post_only = handler.fallback(|| async { ApiError::method_not_allowed("POST") });
        self.names.push(name);
        self.routes
            .push((name, Router::new().route(&format!("/{name}"), post_only)));
        self
    }

    /// The routes, with the readiness answer and what answers unknown paths.
    ///
    /// # Errors
    /// [`FunctionNameError`].
    pub fn build(self) -> Result<App, FunctionNameError> {
        self.check_names()?;
        let mut app = invoked("-", Router::new().fallback(unknown_path)).route("/", get(ready));
        for (name, routes) in self.routes {
            app = app.merge(invoked(name, routes));
        }
        Ok(MapRequestLayer::new(host::lower_route as fn(Request) -> Request).layer(app))
    }

    fn check_names(&self) -> Result<(), FunctionNameError> {
        for (index, name) in self.names.iter().copied().enumerate() {
            if !is_function_name(name) {
                return Err(FunctionNameError::Invalid(name));
            }
            if self.names[..index].contains(&name) {
                return Err(FunctionNameError::Twice(name));
            }
            let first_segment = |path: &&&str| path.split('/').nth(1) == Some(name);
            if let Some(path) = self.paths.iter().find(first_segment) {
                return Err(FunctionNameError::Collision(name, path));
            }
        }
        Ok(())
    }
}

/// Lets a request in when there are not too many, and its caller may.
async fn admit(
    permits: Arc<Semaphore>,
    access: Option<Access>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let Ok(_permit) = permits.try_acquire() else {
        return ApiError::overloaded().into_response();
    };
    match access {
        Some(Access { gate, role }) => auth::require(gate, role, request, next).await,
        None => next.run(request).await,
    }
}

/// `^[a-z][a-z0-9_-]{0,127}$` and not `host`, as the Functions host wants it.
fn is_function_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    name != "host" && name.len() <= 128 && starts_well && name.chars().all(plain)
}

/// Routes as invocations of a function; a panic costs one of them.
fn invoked(name: &'static str, routes: Router) -> Router {
    routes.layer(from_fn(move |request, next| {
        host::invocation(name, request, next)
    }))
}

/// The host asks `GET /` until something answers.
async fn ready() -> Json<serde_json::Value> {
    Json(json!({ "name": "defender-functions", "version": env!("CARGO_PKG_VERSION") }))
}

/// A path of no function. An envelope among them is the host's and a failed
/// invocation, which it tells nobody: so the log has to.
async fn unknown_path(request: Request) -> Result<Response<Body>, Infallible> {
    let single_segment = !request.uri().path().trim_matches('/').contains('/');
    let from_host = request.headers().contains_key(host::INVOCATION_ID_HEADER);
    let problem = ApiError::not_found();
    Ok(
        if request.method() == Method::POST && single_segment && from_host {
            ApiError {
                code: "envelope_unknown_function".to_owned(),
                cause: "is the package older than its functions?".to_owned(),
                ..problem
            }
        } else {
            problem
        }
        .into_response(),
    )
}
