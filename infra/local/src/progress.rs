//! Progress on a terminal as a bar or a spinner, elsewhere as plain lines.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{msg} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
const SPINNER: &str = "{spinner} {msg} {elapsed}";

/// One thing that takes time. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The last plain line; `None` on a terminal.
    last_line: Option<Arc<Mutex<String>>>,
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

    /// Bytes that move.
    pub(crate) fn of_bytes(message: &str, total: u64) -> Self {
        Self::new(ProgressBar::new(total), BAR, message)
    }

    /// Waiting whose end is not known.
    pub(crate) fn of_waiting(message: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::new(bar, SPINNER, message)
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Shows what is going on; a plain line is written only when it says something new.
    pub(crate) fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if let Some(last) = &self.last_line {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *last != message {
                message.clone_into(&mut last);
                write_line(message);
            }
        }
    }

    /// Ends with a line that stays.
    pub(crate) fn finish(&self, message: &str) {
        self.bar.finish_and_clear();
        write_line(message);
    }
}

/// To stderr, beside the bars: stdout is for the result. A closed stderr is nobody to tell.
fn write_line(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}
