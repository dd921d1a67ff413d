//! The table of functions: one row each, and everything that follows from it.
//!
//! The router, OpenAPI and Swagger, the command `run`, the list of functions that
//! need no key, and the tests of bindings and documents read this table.

mod app;

use axum::http::Method;
use futures::future::{BoxFuture, FutureExt};
use utoipa::openapi::PathItem;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    routes::{
        RouteState, coverage, explorer, golden_image, hashes, health, report, timer::TimerOutcome,
        vdi,
    },
    server::{Access, ApiError, Role, TimerInfo},
    services::Services,
};

pub use app::{app, app_with, openapi};

/// A function of the product.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Name of its folder, and in Azure.
    pub name: &'static str,
    /// The trigger that starts it.
    pub trigger: Trigger,
}

/// The trigger of a function.
#[derive(Clone, Copy, Debug)]
pub enum Trigger {
    /// Requests to a path and below it.
    Http {
        /// The path, with the prefix of the host.
        path: &'static str,
        /// Who may call.
        access: Access,
        /// Its routes with their descriptions.
        routes: fn() -> OpenApiRouter<RouteState>,
    },
    /// A schedule.
    Timer {
        /// The setting with the schedule: six-field cron in UTC.
        schedule: &'static str,
        /// The work of an occurrence; without a timer where a person started it.
        run: TimerRun,
    },
}

/// Functions that answer HEAD as well: load balancers probe with it, and readers of reports
/// look for a new one.
const HEAD: [&str; 3] = ["health", "coverage", "vdi"];

/// The work of a timer function.
pub type TimerRun = fn(Services, Option<TimerInfo>) -> TimerFuture;

/// A timer function at work.
pub type TimerFuture = BoxFuture<'static, Result<TimerOutcome, ApiError>>;

/// All functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "hash_lookup",
        trigger: Trigger::Http {
            path: "/api/hashes",
            access: Access::Role(|_| Role::HashesRead),
            routes: || {
                OpenApiRouter::new()
                    .routes(routes!(hashes::look_up_hash))
                    .routes(routes!(hashes::look_up_hashes))
            },
        },
    },
    Function {
        name: "coverage",
        trigger: Trigger::Http {
            path: "/api/coverage",
            access: Access::Role(report::role),
            routes: || {
                OpenApiRouter::new()
                    .routes(routes!(coverage::newest, coverage::run_now))
                    .routes(routes!(coverage::file))
            },
        },
    },
    Function {
        name: "coverage_report",
        trigger: Trigger::Timer {
            schedule: "COVERAGE_SCHEDULE",
            run: |services, timer| report::by_timer(services.coverage, timer).boxed(),
        },
    },
    Function {
        name: "coverage_workbook",
        trigger: Trigger::Timer {
            schedule: "WORKBOOK_SCHEDULE",
            run: |services, _| coverage::inspect_workbooks(services.workbooks).boxed(),
        },
    },
    Function {
        name: "golden_image",
        trigger: Trigger::Http {
            path: "/api/golden-image",
            access: Access::Role(|_| Role::ReportsRead),
            routes: || {
                OpenApiRouter::new()
                    .routes(routes!(golden_image::assess_image))
                    .routes(routes!(golden_image::script))
            },
        },
    },
    Function {
        name: "vdi",
        trigger: Trigger::Http {
            path: "/api/vdi",
            access: Access::Role(report::role),
            routes: || {
                OpenApiRouter::new()
                    .routes(routes!(vdi::newest, vdi::run_now))
                    .routes(routes!(vdi::file))
            },
        },
    },
    Function {
        name: "vdi_report",
        trigger: Trigger::Timer {
            schedule: "VDI_SCHEDULE",
            run: |services, timer| report::by_timer(services.vdi, timer).boxed(),
        },
    },
    Function {
        name: "health",
        trigger: Trigger::Http {
            path: "/api/health",
            access: Access::ByRoute,
            routes: || OpenApiRouter::new().routes(routes!(health::health)),
        },
    },
    Function {
        name: "explorer",
        trigger: Trigger::Http {
            path: "/api/explorer",
            access: Access::Public,
            routes: explorer::routes,
        },
    },
];

/// A method, and whether the description of a path has it.
type DescribedMethod = (Method, fn(&PathItem) -> bool);

const METHODS: [DescribedMethod; 5] = [
    (Method::DELETE, |path| path.delete.is_some()),
    (Method::GET, |path| path.get.is_some()),
    (Method::PATCH, |path| path.patch.is_some()),
    (Method::POST, |path| path.post.is_some()),
    (Method::PUT, |path| path.put.is_some()),
];

impl Function {
    /// The function of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// Returns true if it may be called without a key of the host.
    ///
    /// Such a function asks for a token itself, or is public.
    pub fn may_be_anonymous(&self) -> bool {
        match self.trigger {
            Trigger::Http { access, .. } => !matches!(access, Access::Role(_)),
            Trigger::Timer { .. } => false,
        }
    }

    /// The methods that its routes take, in the order of their names.
    pub fn methods(&self) -> Vec<Method> {
        let Trigger::Http { routes, .. } = self.trigger else {
            return Vec::new();
        };
        let described = routes().into_openapi();
        let items = described.paths.paths.values();
        // The routes of the explorer are not described, and only read.
        let described =
            |(method, of): &DescribedMethod| items.clone().any(of).then(|| method.clone());
        let heads = HEAD.contains(&self.name).then_some(Method::HEAD);
        match METHODS.iter().filter_map(described).collect::<Vec<_>>() {
            none if none.is_empty() => vec![Method::GET],
            methods => methods.into_iter().chain(heads).collect(),
        }
    }
}
