//! The outcome of a timer function, for the Functions host and for the command `run`.

use crate::server::Reply;

/// How an occurrence of a timer ended, unless it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerState {
    /// Everything was read and done, or was done before.
    Complete,
    /// Something could not be read.
    Incomplete,
    /// Something was found that a person has to do.
    NeedsWork,
    /// A setting turns the function off.
    Off,
}

/// An occurrence of a timer: lines for people, and how it ended.
#[derive(Clone, Debug)]
pub struct TimerOutcome {
    /// Lines for the log of the invocation, or for the terminal.
    pub lines: Vec<String>,
    /// Where its result is stored, for the terminal; `None` where nothing is.
    pub location: Option<String>,
    /// How it ended.
    pub state: TimerState,
}

impl TimerOutcome {
    /// An outcome with its first line.
    pub(crate) fn new(state: TimerState, line: impl Into<String>) -> Self {
        Self {
            lines: vec![line.into()],
            location: None,
            state,
        }
    }

    /// Adds where the result is stored.
    pub(crate) fn stored_in(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds a line for each reason why it is incomplete.
    pub(crate) fn with_reasons(mut self, reasons: &[String]) -> Self {
        let lines = reasons
            .iter()
            .map(|reason| format!("NOT complete: {reason}"));
        self.lines.extend(lines);
        self
    }
}

impl From<TimerOutcome> for Reply {
    fn from(outcome: TimerOutcome) -> Self {
        let lines = outcome.lines.iter();
        lines.fold(Self::done(), |reply, line| reply.log(line))
    }
}
