//! What a long run tells, and how it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happened. Token counts are of one level, all takes together, prompt included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The prior of a level is open.
    LevelStarted {
        /// The level.
        level: usize,
        /// Tokens that exist already.
        done: usize,
        /// Tokens that there will be.
        total: usize,
    },
    /// Every take of the running batch has one token more.
    TokensDrawn {
        /// The level.
        level: usize,
        /// Tokens that exist, those of the unfinished window included.
        done: usize,
        /// Tokens that there will be.
        total: usize,
    },
    /// A window is made in all takes, and saved.
    WindowDone {
        /// The level.
        level: usize,
        /// Tokens that exist.
        done: usize,
        /// Tokens that there will be.
        total: usize,
        /// New tokens a second since the level was started.
        tokens_per_second: f64,
    },
    /// All tokens of a level exist.
    LevelFinished {
        /// The level.
        level: usize,
        /// Tokens of the level.
        total: usize,
        /// New tokens a second since the level was started.
        tokens_per_second: f64,
    },
}

/// Listens to a run. Any `FnMut(&Event)` does.
pub trait Progress {
    /// Called from the thread that samples, for every token of a batch: it should return quickly.
    fn report(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Progress for F {
    fn report(&mut self, event: &Event) {
        self(event);
    }
}

/// Asks a run to stop. Clones share one flag, so that a signal handler can hold one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop before its next token.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
