//! The hygiene report of virtual desktops, and the tags that it finds missing.

use std::{sync::Arc, time::Duration};

use functions::{
    report::run::Slot,
    vdi::{
        DeviceTag,
        hygiene::{self, Before, DEVICES, HygieneReport, NAMES, Pool, Sources},
    },
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    now,
    reports::{Draft, Published, Report, Reports, RunError, RunTime, together},
};
use crate::{
    clients::defender::{
        DefenderError, Kind,
        hunting::HuntingClient,
        machines::{MachinesClient, TAG_BATCH},
    },
    config::{Config, VdiSettings},
};

/// File that the next run takes the trend from.
const SUMMARY: &str = "summary.json";

/// Reads device records, joins them, and writes the history.
#[derive(Debug)]
pub struct Vdi {
    hunting: Arc<HuntingClient>,
    machines: Arc<MachinesClient>,
    reports: Reports,
    settings: VdiSettings,
    csv_bom: bool,
    running: Mutex<()>,
}

/// What became of a batch of devices that a tag was added to.
#[derive(Debug)]
pub struct Tagged<'a> {
    /// Id and name of each device.
    pub devices: &'a [(String, String)],
    /// Whether Defender took it.
    pub outcome: Result<(), DefenderError>,
}

impl Report for Vdi {
    fn reports(&self) -> &Reports {
        &self.reports
    }

    async fn run(&self, slot: &Slot, time: RunTime) -> Result<Published, RunError> {
        self.run_with(slot, time, None)
            .await
            .map(|(published, _)| published)
    }
}

impl Vdi {
    /// The report over the devices of the settings.
    pub fn new(
        hunting: Arc<HuntingClient>,
        machines: Arc<MachinesClient>,
        reports: Reports,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            hunting,
            machines,
            reports,
            settings: config.vdi.clone(),
            csv_bom: config.csv_bom,
            running: Mutex::default(),
        })
    }

    /// The tag that devices must carry.
    pub fn tag(&self) -> &DeviceTag {
        &self.settings.tag
    }

    /// Reads everything, for at most `time`. What could not be read is told in the
    /// report, which is then not complete.
    ///
    /// # Errors
    /// [`RunError::Off`].
    pub async fn report(
        &self,
        time: Duration,
        expected: Option<Vec<String>>,
        before: Option<Before>,
    ) -> Result<HygieneReport, RunError> {
        let hosts = self
            .settings
            .hosts
            .clone()
            .ok_or(RunError::Off("VDI_HOST_PATTERN"))?;
        let pool = Pool {
            hosts,
            golden: self.settings.golden.clone(),
            tag: self.settings.tag.clone(),
            entry: self.settings.entry,
            expected,
        };
        let (deadline, as_of) = (Instant::now() + time, now());
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
        let report = HygieneReport::new(sources, &pool, &as_of, before);
        tracing::info!(
            code = "vdi",
            devices = report.devices.len(),
            findings = report.affected.len(),
            complete = report.summary.complete,
            "read the device records of virtual desktops"
        );
        Ok(report)
    }

    /// Writes the run of a slot, unless it has one; the report where this wrote it.
    ///
    /// # Errors
    /// [`RunError`]; a retry helps when storage or Defender answer again.
    pub async fn run_with(
        &self,
        slot: &Slot,
        time: RunTime,
        expected: Option<Vec<String>>,
    ) -> Result<(Published, Option<HygieneReport>), RunError> {
        let Ok(_running) = self.running.try_lock() else {
            return Err(RunError::Running);
        };
        if self.settings.hosts.is_none() {
            return Err(RunError::Off("VDI_HOST_PATTERN"));
        }
        let newest = self.reports.begin(time.patience).await?;
        if let Some(before) = self.reports.run_of(slot).await? {
            return Ok((Published::Before(before), None));
        }
        let before = match &newest {
            Some(newest) => self.reports.json(newest, SUMMARY).await?,
            None => None,
        };
        let report = self.report(time.reading, expected, before).await?;
        if report.summary.counts.devices.is_none() {
            return Err(RunError::Nothing(
                "no device record",
                together(&report.summary.reasons),
            ));
        }
        let draft = Draft {
            as_of: report.summary.as_of.clone(),
            reasons: report.summary.reasons.clone(),
            queries: [DEVICES, NAMES]
                .map(|query| (query.name, query.text))
                .to_vec(),
            files: hygiene::render(&report, self.csv_bom),
        };
        let published = self.reports.publish(slot, draft).await?;
        tracing::info!(
            code = "report_written",
            slot = %slot,
            folder = published.manifest().folder,
            complete = published.manifest().complete,
            "the report on virtual desktops is written"
        );
        Ok((published, Some(report)))
    }

    /// Adds the tag to these devices, batch after batch. A failed batch does not
    /// stop the next one; one that Defender rejects is tried in halves, so that a
    /// device that it does not know costs itself alone.
    pub async fn tag_devices(
        &self,
        devices: &[(String, String)],
        time: Duration,
        mut told: impl FnMut(Tagged<'_>),
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
                    code = error.code,
                    cause = error.cause,
                    devices = ids.len(),
                    "{}",
                    error.detail
                ),
                Ok(()) => {}
            }
            told(Tagged { devices, outcome });
        }
    }
}
