//! The hygiene report of virtual desktops, and the tags that it finds missing.

use std::{sync::Arc, time::Duration};

use functions::{
    desktop::DeviceTag,
    report::run::Manifest,
    report::text::together,
    vdi::{self, DEVICES, HygieneReport, NAMES, Pool, PreviousRun, Sources},
};
use tokio::time::Instant;

use super::{
    now,
    reports::{Draft, History, Report, RunError, Runs},
};
use crate::{
    clients::defender::{
        hunting::HuntingClient,
        machines::{MachinesClient, TAG_BATCH},
    },
    config::{Config, VdiSettings},
    outbound::{Failure, Kind},
};

/// The setting that turns the report on.
const HOST_SETTING: &str = "VDI_HOST_PATTERN";

/// File that the next run takes the trend from.
const SUMMARY: &str = "summary.json";

/// Reads device records, joins them, and writes the history.
#[derive(Debug)]
pub struct Vdi {
    hunting: Arc<HuntingClient>,
    machines: Arc<MachinesClient>,
    settings: VdiSettings,
    csv_bom: bool,
    runs: Runs,
}

/// The outcome of a batch of devices that a tag was added to.
#[derive(Debug)]
pub struct Tagged<'a> {
    /// Id and name of each device.
    pub devices: &'a [(String, String)],
    /// The failure, if Defender did not accept the tag.
    pub outcome: Result<(), Failure>,
}

impl Report for Vdi {
    /// Host names that must be there; `None` where no list was given.
    type Request = Option<Vec<String>>;
    type Content = HygieneReport;

    fn runs(&self) -> &Runs {
        &self.runs
    }

    fn check(&self) -> Result<(), RunError> {
        match self.settings.hosts {
            Some(_) => Ok(()),
            None => Err(RunError::Off(HOST_SETTING)),
        }
    }

    async fn read(
        &self,
        expected: Option<Vec<String>>,
        newest: Option<&Manifest>,
        deadline: Instant,
    ) -> Result<HygieneReport, RunError> {
        let previous = match newest {
            Some(newest) => self.runs.history.json(newest, SUMMARY).await?,
            None => None,
        };
        let report = self.report(deadline, expected, previous).await?;
        if report.summary.counts.devices.is_none() {
            let reasons = together(&report.summary.reasons);
            return Err(RunError::Nothing("no device record", reasons));
        }
        Ok(report)
    }

    fn files(&self, report: &HygieneReport) -> Draft {
        Draft {
            as_of: report.summary.as_of.clone(),
            reasons: report.summary.reasons.clone(),
            queries: [DEVICES, NAMES]
                .map(|query| (query.name, query.text))
                .to_vec(),
            files: vdi::render(report, self.csv_bom),
        }
    }
}

impl Vdi {
    /// The report over the devices of the settings.
    pub fn new(
        hunting: Arc<HuntingClient>,
        machines: Arc<MachinesClient>,
        history: History,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            hunting,
            machines,
            settings: config.vdi.clone(),
            csv_bom: config.reports.csv_bom,
            runs: Runs::new(history),
        })
    }

    /// The tag that devices must carry.
    pub fn tag(&self) -> &DeviceTag {
        &self.settings.tag
    }

    /// Reads everything by `deadline`. What could not be read is named in the
    /// report, which is then incomplete.
    ///
    /// # Errors
    /// [`RunError::Off`].
    pub async fn report(
        &self,
        deadline: Instant,
        expected: Option<Vec<String>>,
        previous: Option<PreviousRun>,
    ) -> Result<HygieneReport, RunError> {
        let hosts = self
            .settings
            .hosts
            .clone()
            .ok_or(RunError::Off(HOST_SETTING))?;
        let pool = Pool {
            hosts,
            golden: self.settings.golden.clone(),
            tag: self.settings.tag.clone(),
            entry: self.settings.entry,
            expected,
        };
        let as_of = now();
        // One after the other: hunting that is refused is refused once.
        let hunting = async {
            let devices = self.hunting.rows(DEVICES, deadline).await;
            (devices, self.hunting.rows(NAMES, deadline).await)
        };
        let ((devices, names), machines, antivirus) = tokio::join!(
            hunting,
            self.machines.machines(deadline),
            self.machines.antivirus(deadline),
        );
        let sources = Sources {
            devices,
            names,
            machines,
            antivirus,
        };
        let report = HygieneReport::new(sources, &pool, &as_of, previous);
        tracing::info!(
            code = "vdi",
            devices = report.devices.len(),
            findings = report.affected.len(),
            complete = report.summary.complete,
            "read the device records of virtual desktops"
        );
        Ok(report)
    }

    /// Adds the tag to these devices, batch after batch. A failed batch does not
    /// stop the next one; one that Defender rejects is tried in halves, so that a
    /// device that it does not know only fails itself.
    pub async fn tag_devices(
        &self,
        devices: &[(String, String)],
        time: Duration,
        mut report: impl FnMut(Tagged<'_>),
    ) {
        let deadline = Instant::now() + time;
        let mut batches: Vec<_> = devices.chunks(TAG_BATCH).rev().collect();
        while let Some(devices) = batches.pop() {
            let ids: Vec<&str> = devices.iter().map(|(id, _)| id.as_str()).collect();
            let outcome = self
                .machines
                .add_tag(&self.settings.tag, &ids, deadline)
                .await;
            match &outcome {
                Err(error) if error.kind == Kind::Rejected && devices.len() > 1 => {
                    let (one, other) = devices.split_at(devices.len() / 2);
                    batches.extend([other, one]);
                    continue;
                }
                Err(error) => tracing::error!(
                    code = error.code.as_str(),
                    cause = error.cause,
                    devices = ids.len(),
                    "{}",
                    error.detail
                ),
                Ok(()) => {}
            }
            report(Tagged { devices, outcome });
        }
    }
}
