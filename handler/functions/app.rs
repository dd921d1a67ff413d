//! The service and its description, built from the table.

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{FUNCTIONS, Function, Trigger};
use crate::{
    config::Config,
    outbound::HttpClient,
    routes::{RouteContext, RouteState, explorer::Explorer},
    server::{App, Functions, Gate, app::FunctionNameError, problem::Problem},
    services::Services,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Defender Functions",
        description = "File-hash verdicts from Microsoft Defender for Endpoint with evidence and next actions, the coverage of Defender plans, and Defender on virtual desktops.",
        license(name = "MIT", identifier = "MIT")
    ),
    servers((url = "/", description = "the service that this description comes from")),
    tags(
        (name = "Hashes", description = "Verdicts on file hashes"),
        (name = "Coverage", description = "Coverage of Defender plans"),
        (name = "VDI", description = "Defender on virtual desktops"),
        (name = "Health", description = "Health of the service and of what it needs")
    ),
    components(schemas(Problem)),
)]
struct Api;

/// The description of all routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = OpenApiRouter::<RouteState>::with_openapi(Api::openapi());
    for function in FUNCTIONS {
        if let Trigger::Http { routes, .. } = function.trigger {
            api = api.merge(routes());
        }
    }
    api.into_openapi()
}

/// The service for these settings. Opens no connection.
///
/// # Errors
/// [`FunctionNameError`], a mistake in the table.
pub fn app(config: &Config, http: Arc<HttpClient>) -> Result<App, FunctionNameError> {
    let services = Services::new(config, Arc::clone(&http));
    app_with(config, services, http)
}

/// The service with the use cases of the caller.
///
/// # Errors
/// As [`app`].
pub fn app_with(
    config: &Config,
    services: Services,
    http: Arc<HttpClient>,
) -> Result<App, FunctionNameError> {
    let gate = Gate::new(config, http);
    let context = Arc::new(RouteContext {
        services,
        gate: gate.clone(),
        auth: config.callers.auth.clone(),
        explorer: Explorer::new(config, openapi),
    });
    let mut functions = Functions::new();
    for Function { name, trigger } in FUNCTIONS {
        functions = match *trigger {
            Trigger::Http {
                path,
                access,
                routes,
            } => {
                let (router, _) = routes().split_for_parts();
                functions.http(name, path, access, router.with_state(Arc::clone(&context)))
            }
            Trigger::Timer { run, .. } => {
                let services = context.services.clone();
                functions.timer(name, move |invocation| {
                    let timer = invocation.timer("timer");
                    let services = services.clone();
                    async move { Ok(run(services, Some(timer?)).await?.into()) }
                })
            }
        };
    }
    functions.build(gate)
}
