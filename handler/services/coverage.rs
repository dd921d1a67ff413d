//! The coverage report: the use case behind `coverage`.

use std::{sync::Arc, time::Duration};

use functions::coverage::{AI_RESOURCES, Cloud, CoverageReport, Estate, PRICINGS, SUBSCRIPTIONS};
use tokio::time::Instant;

use super::now;
use crate::{clients::resource_graph::ResourceGraphClient, config::Config};

/// Reads the facts and joins them.
#[derive(Debug)]
pub struct Coverage {
    graph: ResourceGraphClient,
    cloud: Cloud,
}

impl Coverage {
    /// The report over the scope of the settings.
    pub fn new(graph: ResourceGraphClient, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            graph,
            cloud: config.cloud(),
        })
    }

    /// Reads everything, for at most `time`. What could not be read is told in
    /// the report, which is then not complete.
    pub async fn report(&self, time: Duration) -> CoverageReport {
        let (deadline, as_of) = (Instant::now() + time, now());
        let (subscriptions, pricings, ai_resources) = tokio::join!(
            self.graph.read(SUBSCRIPTIONS, deadline),
            self.graph.read(PRICINGS, deadline),
            self.graph.read(AI_RESOURCES, deadline),
        );
        let read = [
            (SUBSCRIPTIONS, subscriptions.gaps),
            (PRICINGS, pricings.gaps),
            (AI_RESOURCES, ai_resources.gaps),
        ];
        let partial = read.iter().filter(|(_, gaps)| !gaps.is_empty());
        let estate = Estate {
            subscriptions: subscriptions.rows,
            pricings: pricings.rows,
            ai_resources: ai_resources.rows,
            partial: partial.map(|(query, _)| query.name).collect(),
            gaps: read.into_iter().flat_map(|(_, gaps)| gaps).collect(),
        };
        let report = CoverageReport::new(estate, self.cloud, &as_of);
        let s = &report.summary;
        tracing::info!(
            code = "coverage",
            subscriptions = s.subscriptions,
            disabled = s.disabled_subscriptions,
            ai_on = s.ai_on,
            exposed = s.exposed,
            complete = s.complete,
            "read the coverage of Defender plans"
        );
        report
    }
}
