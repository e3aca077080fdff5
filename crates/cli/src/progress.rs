//! Progress on stderr: a bar on a terminal, now and then a line elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// One stretch of work of known size.
pub struct Meter {
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    begun: Instant,
    told: Instant,
    first: u64,
}

/// Time between lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(15);

impl Meter {
    /// Work of `total` units, of which `done` are done.
    pub fn new(label: &str, done: u64, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
            if let Ok(style) = ProgressStyle::with_template("{prefix:<22} {bar:30} {percent:>3}%  {eta:>4} left  {msg}")
            {
                bar.set_style(style.progress_chars("━━ "));
            }
            bar.set_prefix(label.to_owned());
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self { bar, label: label.to_owned(), total, begun: now, told: now, first: done }
    }

    /// Tells how much is done, with a word on speed.
    pub fn set(&mut self, done: u64, word: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(word());
            return;
        }
        if self.told.elapsed() < BETWEEN_LINES {
            return;
        }
        self.told = Instant::now();
        let (new, left) = (done.saturating_sub(self.first), self.total.saturating_sub(done));
        let eta = self.begun.elapsed().as_secs_f64() / new.max(1) as f64 * left as f64;
        let percent = 100 * done / self.total.max(1);
        eprintln!("{} {percent}%  {} left  {}", self.label, duration(eta), word());
    }

    /// Ends with a line that stays.
    pub fn finish(self, line: &str) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{:<22} {line}", self.label);
    }
}

/// `1 h 02 min`, `3 min 20 s`, `12 s`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}
