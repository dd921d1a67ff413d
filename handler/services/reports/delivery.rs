//! Actions that happen once after a run is written, such as a message to people.
//!
//! A delivery sends one file of the run and leaves a mark in the folder of the
//! run, so that it is never repeated. A crash between the mark and the sending loses the
//! message; the report has the same facts.

use std::sync::Arc;

use crate::clients::webhook::Webhook;

/// File of a run with the message to people; a run without it sends none.
pub(crate) const NOTICE: &str = "notice.json";

/// Where a delivery goes.
#[derive(Debug)]
enum Channel {
    /// The webhook of a Teams channel.
    Webhook(Arc<Webhook>),
}

/// One delivery of a report.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The file of the run that is sent; a run without it has nothing to send.
    pub(super) file: &'static str,
    /// The file in the folder of the run that marks the delivery as done.
    pub(super) mark: &'static str,
    channel: Channel,
}

impl Delivery {
    /// The notice of changes, sent to the webhook of the settings.
    pub(crate) fn notice(webhook: Arc<Webhook>) -> Self {
        Self {
            file: NOTICE,
            mark: "notice.told",
            channel: Channel::Webhook(webhook),
        }
    }

    /// Sends the content of the file. A failure is logged and delays nothing: the
    /// report has the same facts.
    pub(super) async fn send(&self, content: &[u8]) {
        match &self.channel {
            Channel::Webhook(webhook) => webhook.send(content).await,
        }
    }
}
