//! Threads that stay, for work whose steps are too short to hand over anew: decoding forks and joins five times a layer,
//! each time for some microseconds.
//!
//! A [`Team`] is some helpers, who live as long as it, and the thread that calls them. [`Team::gather`] gives a [`Crew`], whose
//! [`tiles`](Crew::tiles) cuts a matrix into rectangles: whoever is free takes the next one. Nobody waits for a helper
//! that takes none, so one whose core another process has costs no more than the rectangle it was at. Who waits spins for
//! some microseconds and then sleeps, so that its core is free for whom it waits for.
//!
//! Only one team of the process has its helpers at work at a time; who calls another works alone meanwhile. So several
//! decoders don't fight for cores, and cannot wait for each other.

#![allow(unsafe_code)]

mod board;
#[cfg(test)]
mod tests;
mod tiles;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use board::Board;
pub(crate) use tiles::{Grid, Tile};

/// Whether the helpers of a team are at work.
static AT_WORK: AtomicBool = AtomicBool::new(false);

/// Helpers of whoever calls them. They end with the team.
#[derive(Debug)]
pub(crate) struct Team {
    board: Arc<Board>,
    helpers: Vec<JoinHandle<()>>,
}

impl Team {
    /// A team of the calling thread and others; of fewer if the system gives no more.
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        let board = Arc::new(Board::default());
        let helper = |index: usize| {
            let board = Arc::clone(&board);
            std::thread::Builder::new().name(format!("helper {index}")).spawn(move || board.help()).ok()
        };
        let helpers = (1..threads).map_while(helper).collect();
        Arc::new(Self { board, helpers })
    }

    /// The team, ready to work; the calling thread alone, if a team is at work already.
    pub(crate) fn gather(self: &Arc<Self>) -> Crew {
        let helped = !self.helpers.is_empty() && !AT_WORK.swap(true, Ordering::Acquire);
        Crew { team: Arc::clone(self), helped }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.close();
        for helper in self.helpers.drain(..) {
            // A helper catches the panics of its work and hands them to the owner: there is nothing left to say.
            let _ = helper.join();
        }
    }
}

/// A team at work.
#[derive(Debug)]
pub(crate) struct Crew {
    team: Arc<Team>,
    /// There is one such crew in the process at most.
    helped: bool,
}

impl Crew {
    /// Threads that work.
    pub(crate) fn threads(&self) -> usize {
        if self.helped { self.team.helpers.len() + 1 } else { 1 }
    }

    /// Does every item from 0 to `items`, each once, on whatever thread is free. Returns when all are done.
    ///
    /// # Panics
    /// If an item does, with what it said; items that nobody has begun are then left out.
    pub(crate) fn each(&mut self, items: usize, work: impl Fn(usize) + Sync) {
        if !self.helped || items < 2 {
            return (0..items).for_each(work);
        }
        // SAFETY: of all crews only this one is `helped`, and it is borrowed mutably, so this is the only call.
        if let Err(panic) = unsafe { self.team.board.share(items, &work) } {
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if self.helped {
            AT_WORK.store(false, Ordering::Release);
        }
    }
}
