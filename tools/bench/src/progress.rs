//! What is being done, for whoever waits.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Tells on standard error what is being done: a moving line on a terminal, plain lines anywhere else.
pub struct Progress {
    started: Instant,
    terminal: bool,
}

/// One piece of work with a known size.
pub struct Work {
    bar: ProgressBar,
    /// Told in plain lines, at every tenth.
    plain: bool,
    what: String,
    size: u64,
}

impl Progress {
    /// From now on.
    pub fn new() -> Self {
        Self { started: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    /// Says something.
    pub fn say(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        eprintln!("{:>3}:{:02}  {what}", seconds / 60, seconds % 60);
    }

    /// Begins a piece of work.
    pub fn work(&self, what: &str, size: usize) -> Work {
        self.say(what);
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let target = if self.terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(size), target);
        if let Ok(style) = ProgressStyle::with_template("        {bar:40} {pos}/{len}, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Work { bar, plain: !self.terminal && size >= 500, what: what.to_owned(), size }
    }
}

impl Work {
    /// One more is done.
    pub fn done(&self) {
        self.bar.inc(1);
        let done = self.bar.position();
        if self.plain && done < self.size && done.is_multiple_of(self.size / 10) {
            eprintln!("        {}: {done} of {}", self.what, self.size);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
