//! One line for each function: its name and how it is reached.
//!
//! Real paths (forwarded HTTP) and `POST /{FunctionName}` (envelope) share one
//! path space, so a name that equals a path is refused at start.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{Method, Response},
    response::IntoResponse,
    routing::{MethodRouter, any, get},
};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::{
    Layer,
    util::{MapRequest, MapRequestLayer},
};

use crate::{
    auth::{self, Gate, Role},
    config::ApiAuth,
    error::ApiError,
    host::{self, envelope::Invocation, reply::Reply, wrapped_http},
    routes::{self, explorer::Explorer, health::Deep},
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
    /// The role that a method needs.
    role: fn(&Method) -> Role,
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
    auth: &ApiAuth,
    explorer: Arc<Explorer>,
) -> Result<App, FunctionNameError> {
    let needs = |role| Access {
        gate: gate.clone(),
        role,
    };
    let coverage = Arc::clone(&services.coverage);
    let by_timer = Arc::clone(&services.coverage);
    let (vdi, vdi_by_timer) = (Arc::clone(&services.vdi), Arc::clone(&services.vdi));
    let image = Arc::clone(&services.image);
    let workbooks = Arc::clone(&services.workbooks);
    let deep = Deep::new(Arc::clone(&services.doctor), gate.clone(), auth);
    let services = Arc::new(services);
    Functions::new()
        .http(
            "hash_lookup",
            routes::hashes::PATH,
            Some(needs(|_| Role::HashesRead)),
            move |request| routes::hashes::hash_lookup(Arc::clone(&services), request),
        )
        .http(
            "coverage",
            routes::coverage::PATH,
            Some(needs(routes::report::role)),
            move |request| routes::coverage::coverage(Arc::clone(&coverage), request),
        )
        .http(
            "golden_image",
            routes::golden_image::PATH,
            Some(needs(routes::golden_image::role)),
            move |request| routes::golden_image::golden_image(Arc::clone(&image), request),
        )
        .envelope("coverage_report", move |invocation| {
            routes::coverage::coverage_report(Arc::clone(&by_timer), invocation)
        })
        .http(
            "vdi",
            routes::vdi::PATH,
            Some(needs(routes::report::role)),
            move |request| routes::vdi::vdi(Arc::clone(&vdi), request),
        )
        .envelope("vdi_report", move |invocation| {
            routes::vdi::vdi_report(Arc::clone(&vdi_by_timer), invocation)
        })
        .envelope("coverage_workbook", move |invocation| {
            routes::coverage::coverage_workbook(Arc::clone(&workbooks), invocation)
        })
        .http("health", routes::health::PATH, None, move |request| {
            routes::health::health(deep.clone(), request)
        })
        .http("explorer", routes::explorer::PATH, None, move |request| {
            routes::explorer::explorer(Arc::clone(&explorer), request)
        })
        .build()
}

/// Collects functions and makes the routes of them.
#[derive(Debug)]
pub struct Functions {
    names: Vec<&'static str>,
    paths: Vec<&'static str>,
    routes: Vec<Router>,
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
    pub fn http<F>(
        mut self,
        name: &'static str,
        path: &'static str,
        access: Option<Access>,
        work: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<Body>, ApiError>> + Send,
    {
        let permits = Arc::clone(&self.permits);
        // A wrapped request is shed inside its envelope, or the host would make
        // a failed invocation of it.
        let handler = invoked(name, move |mut request| {
            let (permits, access, work) = (Arc::clone(&permits), access.clone(), work.clone());
            async move {
                let _permit = permits.try_acquire().map_err(|_| ApiError::overloaded())?;
                if let Some(Access { gate, role }) = access {
                    let role = role(request.method());
                    auth::require(&gate, role, &mut request).await?;
                }
                work(request).await
            }
        });
        let below = |suffix: &str| format!("{path}{suffix}");
        let routes = Router::new()
            .route(path, handler.clone())
            .route(&below("/"), handler.clone())
            .route(&below("/{*rest}"), handler);
        let wrapped = routes.clone().fallback(invoked(name, unknown_path));
        self.paths.push(path);
        self.routes.push(routes);
        self.by_envelope(name, move |request| {
            wrapped_http::run(wrapped.clone(), request)
        })
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
        self.by_envelope(name, move |request| {
            let work = work.clone();
            async move { work(Invocation::read(request).await?).await }
        })
    }

    fn by_envelope<F>(
        mut self,
        name: &'static str,
        work: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Reply, ApiError>> + Send,
    {
        let post_only = invoked(name, move |request: Request| {
            let work = work.clone();
            async move {
                if request.method() != Method::POST {
                    return Err(ApiError::method_not_allowed("POST"));
                }
                work(request).await
            }
        });
        self.names.push(name);
        self.routes
            .push(Router::new().route(&format!("/{name}"), post_only));
        self
    }

    /// The routes, with the readiness answer and what answers unknown paths.
    ///
    /// # Errors
    /// [`FunctionNameError`].
    pub fn build(self) -> Result<App, FunctionNameError> {
        self.check_names()?;
        let mut app = Router::new()
            .fallback(invoked("-", unknown_path))
            .route("/", get(ready));
        for routes in self.routes {
            app = app.merge(routes);
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

/// `^[a-z][a-z0-9_-]{0,127}$` and not `host`, as the Functions host wants it.
fn is_function_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    name != "host" && name.len() <= 128 && starts_well && name.chars().all(plain)
}

/// Work as invocations of a function; a panic costs one of them. A handler
/// and no layer: each layer costs every request two allocations.
fn invoked<R, F>(
    name: &'static str,
    work: impl Fn(Request) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter
where
    R: IntoResponse,
    F: Future<Output = Result<R, ApiError>> + Send,
{
    any(move |request: Request| host::invocation(name, request, work.clone()))
}

/// The host asks `GET /` until something answers.
async fn ready() -> Json<serde_json::Value> {
    Json(json!({ "name": "defender-functions", "version": env!("CARGO_PKG_VERSION") }))
}

/// A path of no function. An envelope among them is the host's and a failed
/// invocation, which it tells nobody: so the log has to.
async fn unknown_path(request: Request) -> Result<Response<Body>, ApiError> {
    let single_segment = !request.uri().path().trim_matches('/').contains('/');
    let from_host = request.headers().contains_key(host::INVOCATION_ID_HEADER);
    let problem = ApiError::not_found();
    if request.method() == Method::POST && single_segment && from_host {
        return Err(ApiError {
            code: "envelope_unknown_function".to_owned(),
            cause: "is the package older than its functions?".to_owned(),
            ..problem
        });
    }
    Err(problem)
}
