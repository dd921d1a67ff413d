//! The coverage report: the use case behind `coverage`, its timer and its route.

mod estate;

use std::{sync::Arc, time::Duration};

use functions::{
    coverage::{
        AI_RESOURCES, Baseline, Cloud, CoverageReport, PRICINGS, SUBSCRIPTIONS, Summary, files,
        notice,
        reconcile::{self},
    },
    report::run::{File, JSON, Manifest},
    report::text::together,
};
use tokio::time::Instant;

use super::reports::{Draft, History, Report, RunError, Runs, delivery::NOTICE};
use crate::{
    clients::{resource_graph::ResourceGraphClient, resource_manager::ResourceManagerClient},
    config::{Config, Scope},
    outbound::Failure,
};

/// File that the next run compares with.
const BASELINE: &str = "baseline.json";

/// Questions to Resource Manager before downgrades are reported.
const MAX_QUESTIONS: usize = 200;

/// How long Resource Manager may take for them.
const QUESTION_TIME: Duration = Duration::from_secs(20);

/// Reads the facts, joins them, and writes the history.
#[derive(Debug)]
pub struct Coverage {
    graph: Arc<ResourceGraphClient>,
    manager: Arc<ResourceManagerClient>,
    cloud: Cloud,
    scope: Scope,
    account_settings: bool,
    csv_bom: bool,
    runs: Runs,
}

/// A report, compared with an earlier run.
#[derive(Debug)]
pub struct Compared {
    /// The report.
    pub report: CoverageReport,
    /// The state of the run that it was compared with.
    previous: Option<Baseline>,
    /// True if no subscription could be read: then there is no run.
    is_empty: bool,
}

impl Report for Coverage {
    type Request = ();
    type Content = Compared;

    fn runs(&self) -> &Runs {
        &self.runs
    }

    async fn read(
        &self,
        _request: (),
        newest: Option<&Manifest>,
        deadline: Instant,
    ) -> Result<Compared, RunError> {
        let previous = match newest {
            Some(newest) => self.baseline(newest).await?,
            None => None,
        };
        if let (Some(newest), None) = (newest, &previous) {
            tracing::warn!(
                code = "baseline_expired",
                slot = %newest.slot,
                "the files of the previous run are gone or of another version, so nothing is compared; are they deleted before the next run?"
            );
        }
        let compared = self.report(deadline, previous).await;
        if compared.is_empty {
            let reasons = &compared.report.summary.reasons;
            return Err(RunError::Nothing("no subscription", together(reasons)));
        }
        Ok(compared)
    }

    fn files(&self, compared: &Compared) -> Draft {
        let report = &compared.report;
        let json = |name, text| File {
            name,
            content_type: JSON,
            text,
            rows: 0,
        };
        let mut files = files::render(report, self.csv_bom);
        let baseline = Baseline::after(report, compared.previous.as_ref(), &self.scope.to_string());
        let baseline = serde_json::to_string(&baseline).unwrap_or_default();
        files.push(json(BASELINE, baseline));
        if let Some(message) = notice::render(report) {
            files.push(json(NOTICE, message.to_string()));
        }
        Draft {
            as_of: report.summary.as_of.clone(),
            reasons: report.summary.reasons.clone(),
            queries: [SUBSCRIPTIONS, PRICINGS, AI_RESOURCES]
                .map(|query| (query.name, query.text))
                .to_vec(),
            files,
        }
    }
}

impl Coverage {
    /// The report over the scope of the settings.
    pub fn new(
        graph: Arc<ResourceGraphClient>,
        manager: Arc<ResourceManagerClient>,
        history: History,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            graph,
            manager,
            cloud: config.resource_manager.cloud(),
            scope: config.coverage.scope.clone(),
            account_settings: config.coverage.account_settings,
            csv_bom: config.reports.csv_bom,
            runs: Runs::new(history),
        })
    }

    /// Reads everything by `deadline` and compares it. What could not be read is
    /// named in the report, which is then incomplete.
    pub async fn report(&self, deadline: Instant, previous: Option<Baseline>) -> Compared {
        let scope = self.scope.to_string();
        let comparable = previous
            .as_ref()
            .filter(|previous| previous.scope.eq_ignore_ascii_case(&scope));
        let known_plans = comparable.map(Baseline::plans).unwrap_or_default();
        let mut report = self.read_estate(known_plans, deadline).await;
        let is_empty = report.summary.subscriptions == 0 && !report.summary.complete;
        if let Some(previous) = comparable {
            let deadline = deadline.max(Instant::now() + QUESTION_TIME / 2);
            let questions = reconcile::questions(&report, previous, MAX_QUESTIONS);
            let deadline = deadline.min(Instant::now() + QUESTION_TIME);
            let answers = self.manager.answers(questions, deadline).await;
            let within = self.within(&answers, deadline).await;
            report = reconcile::reconcile(report, previous, &answers, &within);
        }
        log(&report.summary);
        Compared {
            report,
            previous,
            is_empty,
        }
    }

    /// The state that a run is compared with; `None` where it has expired.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn baseline(&self, run: &Manifest) -> Result<Option<Baseline>, Failure> {
        self.runs.history.json(run, BASELINE).await
    }
}

fn log(summary: &Summary) {
    let s = summary;
    tracing::info!(
        code = "coverage",
        subscriptions = s.subscriptions,
        disabled = s.disabled_subscriptions,
        ai_on = s.ai_on,
        exposed = s
            .exposed
            .map_or(-1, |exposed| i64::try_from(exposed).unwrap_or(i64::MAX)),
        changes = s.changes.values().sum::<usize>(),
        complete = s.complete,
        "read the coverage of Defender plans"
    );
}
