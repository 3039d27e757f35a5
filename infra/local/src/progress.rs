//! Progress on a terminal as a bar or a spinner, elsewhere as plain lines.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

const BAR: &str = "{msg} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// Interval between plain lines of a transfer.
const LINE_EVERY: Duration = Duration::from_secs(10);
const SPINNER: &str = "{spinner} {msg} {elapsed}";

/// Progress of one operation. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The last plain line; `None` on a terminal.
    last_line: Option<Arc<Mutex<Line>>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    at: Instant,
}

impl Default for Line {
    fn default() -> Self {
        Self { text: String::new(), at: Instant::now() }
    }
}

impl Progress {
    fn new(bar: ProgressBar, template: &str, message: &str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message.to_owned());
        let progress = Self { bar, last_line: (!is_terminal).then(Arc::default) };
        progress.say(message);
        progress
    }

    /// Progress of a transfer.
    pub(crate) fn of_bytes(message: &str, total: u64) -> Self {
        Self::new(ProgressBar::new(total), BAR, message)
    }

    /// Progress of an operation of unknown length.
    pub(crate) fn of_waiting(message: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::new(bar, SPINNER, message)
    }

    /// Adds transferred bytes.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if let Some(last) = &self.last_line {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.at.elapsed() >= LINE_EVERY {
                last.at = Instant::now();
                write_line(&self.line());
            }
        }
    }

    /// Subtracts bytes that have to be transferred again.
    pub(crate) fn retreat(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    /// Sets the bytes that were transferred earlier. Rate and remaining time count from here.
    pub(crate) fn begin_at(&self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }

    fn line(&self) -> String {
        let (sent, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        format!(
            "{}: {} of {} ({} %), {}/s, {} left",
            self.bar.message(),
            HumanBytes(sent),
            HumanBytes(total),
            sent.saturating_mul(100) / total.max(1),
            HumanBytes(self.bar.per_sec() as u64),
            HumanDuration(self.bar.eta()),
        )
    }

    /// Shows a message. Without a terminal, a repeated message is written once.
    pub(crate) fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if let Some(last) = &self.last_line {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.text != message {
                message.clone_into(&mut last.text);
                write_line(message);
            }
        }
    }

    /// Writes a permanent line, unless it repeats the last one.
    pub(crate) fn note(&self, message: &str) {
        match &self.last_line {
            Some(_) => self.say(message),
            None => self.bar.println(message),
        }
    }

    /// Removes the bar and writes a permanent line.
    pub(crate) fn finish(&self, message: &str) {
        self.bar.finish_and_clear();
        write_line(message);
    }
}

/// Writes to stderr, because stdout is for the result. A closed stderr is ignored.
fn write_line(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}
