//! How every report is run: take the lock, finish crashed runs, skip a slot that has a
//! run, read, publish, log.

use std::{future::Future, time::Duration};

use functions::report::run::{Manifest, Slot};
use tokio::{sync::Mutex, time::Instant};

use super::history::{Draft, History, Published};
use crate::outbound::Failure;

/// The time that a run has.
#[derive(Clone, Copy, Debug)]
pub struct RunBudget {
    /// For reading the facts; what is not read by then is reported as missing.
    pub reading: Duration,
    /// For storage that refuses the identity, because a new role takes its time.
    pub patience: Duration,
}

/// The reason why a run left no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Another run is in progress in this process; a retry helps when it has ended.
    #[error("a run of this report is in progress; try again when it has ended")]
    Running,
    /// The setting that turns the report on is missing.
    #[error("`{0}` is not set, so this report is off; docs/configuration.md describes it")]
    Off(&'static str),
    /// Nothing could be read, so the previous report stays the newest: the facts
    /// that are missing, and the reason.
    #[error("{0} could be read, so no report was written: {1}")]
    Nothing(&'static str, String),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] Failure),
}

/// A report with a history: how it reads its facts, and which files it has.
pub trait Report: Send + Sync + 'static {
    /// The input that a caller may add to a run; the timer uses the default.
    type Request: Default + Send;
    /// The facts, read and joined.
    type Content: Send + Sync;

    /// Its history, and the lock of this process.
    fn runs(&self) -> &Runs;

    /// Refuses to run while a setting is missing.
    ///
    /// # Errors
    /// [`RunError::Off`].
    fn check(&self) -> Result<(), RunError> {
        Ok(())
    }

    /// Reads the facts by `deadline` and compares them with the newest run. What
    /// could not be read is in the content, which is then incomplete.
    ///
    /// # Errors
    /// [`RunError::Nothing`] when nothing could be read at all, or
    /// [`RunError::Storage`] when the previous run cannot be read.
    fn read(
        &self,
        request: Self::Request,
        newest: Option<&Manifest>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Self::Content, RunError>> + Send;

    /// The files of a run with this content.
    fn files(&self, content: &Self::Content) -> Draft;
}

/// The history of a report, and the lock that keeps one process to one run.
#[derive(Debug)]
pub struct Runs {
    /// The history.
    pub history: History,
    running: Mutex<()>,
}

impl Runs {
    /// The runs of a history.
    pub(crate) fn new(history: History) -> Self {
        Self {
            history,
            running: Mutex::default(),
        }
    }
}

/// Writes the run of a slot, unless the slot has one. Returns the content too
/// where this call wrote the run.
///
/// # Errors
/// [`RunError`]; a retry helps when storage or the outside service answer again.
pub async fn run<R: Report>(
    report: &R,
    request: R::Request,
    slot: &Slot,
    budget: RunBudget,
) -> Result<(Published, Option<R::Content>), RunError> {
    let Runs { history, running } = report.runs();
    let Ok(_running) = running.try_lock() else {
        return Err(RunError::Running);
    };
    report.check()?;
    let newest = history.begin(budget.patience).await?;
    if let Some(existing) = history.run_of(slot).await? {
        return Ok((Published::AlreadyThere(existing), None));
    }
    let deadline = Instant::now() + budget.reading;
    let content = report.read(request, newest.as_ref(), deadline).await?;
    let published = history.publish(slot, report.files(&content)).await?;
    tracing::info!(
        code = "report_written",
        report = history.name(),
        slot = %slot,
        folder = published.manifest().folder,
        complete = published.manifest().complete,
        "wrote the report"
    );
    Ok((published, Some(content)))
}
