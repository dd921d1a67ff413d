//! The progress of a long look-up, and its waits.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{cli::say, telemetry};

/// Lists of at least this length show a progress bar.
const LONG_LIST: usize = 20;

/// A shorter wait is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(3);

/// The progress of a look-up: a bar on a terminal, else one line for every wait.
pub(super) struct Progress {
    bar: ProgressBar,
    total: usize,
    done: usize,
    /// The end of the wait that was announced last.
    announced: Option<Instant>,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self {
            bar: bar(total),
            total,
            done: 0,
            announced: None,
        }
    }

    /// Another hash has its result.
    pub(super) fn advance(&mut self) {
        self.done += 1;
        self.bar.inc(1);
    }

    /// Shows that the look-up waits for `left`, or that it works.
    pub(super) fn waits(&mut self, left: Option<Duration>) {
        let left = left.filter(|left| *left >= WORTH_A_WORD && self.done < self.total);
        let Some(left) = left else {
            return self.bar.set_message(format!("{} left", eta(&self.bar)));
        };
        let text = format!(
            "waiting for the limit of Defender, continues in {} s",
            left.as_secs()
        );
        self.bar.set_message(text.clone());
        let end = Instant::now() + left;
        let is_known = self
            .announced
            .is_some_and(|known| end < known + WORTH_A_WORD);
        if self.bar.is_hidden() && !is_known {
            say(&format!(
                "{} of {}, {text}; Ctrl-C ends with the results so far",
                self.done, self.total
            ));
            self.announced = Some(end);
        }
    }

    /// Prints a line above the bar.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A tick every second.
pub(super) fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn eta(bar: &ProgressBar) -> String {
    match bar.eta().as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

fn bar(length: usize) -> ProgressBar {
    if length < LONG_LIST || !telemetry::stderr_is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len}, {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style)
}
