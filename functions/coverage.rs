//! Coverage of Defender for Cloud plans: the records of Azure Resource Graph, the state of
//! every plan in every subscription, and the report that follows.
//!
//! In reading order: the records, the state of a plan, the report, its files.

pub mod ai_plan;
pub mod baseline;
pub mod change;
pub mod confirmation;
pub mod estate;
pub mod files;
pub mod html;
pub mod notice;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod workbook;

use crate::query::Query;

pub use ai_plan::{AiPlan, Totals};
pub use baseline::{Baseline, Point};
pub use change::{Change, ChangeKind};
pub use estate::{AiResource, Estate, Pricing, Subscription};
pub use plan::PlanState;
pub use report::{Cloud, CoverageReport, PlanCoverage, Summary};

/// All subscriptions that the identity can read.
pub const SUBSCRIPTIONS: Query = Query {
    name: "subscriptions",
    text: include_str!("coverage/subscriptions.kql"),
};

/// A row a plan and subscription, and a row a resource that overrides its plan.
pub const PRICINGS: Query = Query {
    name: "pricings",
    text: include_str!("coverage/pricings.kql"),
};

/// Subscriptions with AI accounts without Defender for AI, for people to run by hand; the
/// report does not need it. Two rows of one plan would count twice.
pub const EXPOSURE: Query = Query {
    name: "exposure",
    text: include_str!("coverage/exposure.kql"),
};

/// AI accounts, and the resources that belong to them.
pub const AI_RESOURCES: Query = Query {
    name: "ai_resources",
    text: include_str!("coverage/ai_resources.kql"),
};

/// Saved workbooks that may be the Coverage workbook.
pub const WORKBOOKS: Query = Query {
    name: "workbooks",
    text: include_str!("coverage/workbooks.kql"),
};
