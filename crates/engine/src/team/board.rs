//! Where a job is put up, and everybody takes its items.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a helper spins for the next job. About the time between two tokens: waking a sleeping thread takes longer than
/// most jobs.
const IDLE: Duration = Duration::from_micros(200);

/// How long a job's owner spins for the last items of a job. They are short, unless their thread has lost its core.
const ENDING: Duration = Duration::from_micros(30);

type Panic = Box<dyn Any + Send>;

/// What is to be done.
struct Job {
    items: usize,
    work: *const (dyn Fn(usize) + Sync),
}

/// A job that is put up, and how far it is.
///
/// SAFETY of the job, which is shared without a lock and borrows from its owner's stack: it is written by
/// [`share`](Self::share) alone, which returns only once `unfinished` is 0 and has one caller at a time. It is read only by those who hold an item: who took one from `left` and has not yet taken it off
/// `unfinished`. So while somebody may read, `unfinished` is above 0, and nobody writes. That each sees what the other
/// wrote: taking an item reads (Acquire) a `left` that was put up (Release) behind the job, and `share` reads (Acquire)
/// an `unfinished` that the readers lowered (Release) behind their last look. A helper that comes late, with an old idea
/// of `left`, either fails to take an item or takes one of the job that is up by then: it looks at the job afterwards.
#[repr(align(128))]
pub(super) struct Board {
    /// Items that nobody has taken.
    left: AtomicUsize,
    job: UnsafeCell<Job>,
    /// Whether helpers sleep, or are about to.
    asleep: AtomicBool,
    /// Items that are not done.
    unfinished: Apart<AtomicUsize>,
    /// Whether the owner sleeps, or is about to.
    waiting: AtomicBool,
    closed: AtomicBool,
    /// Held to sleep and to wake.
    bed: Mutex<()>,
    job_is_up: Condvar,
    job_is_done: Condvar,
    panic: Mutex<Option<Panic>>,
}

/// On a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Apart<T>(T);

// SAFETY: all but `job` is; for `job` see above. What it points to is `Sync`.
unsafe impl Sync for Board {}
// SAFETY: the pointer in `job` is used as above on whatever thread.
unsafe impl Send for Board {}

impl Default for Board {
    fn default() -> Self {
        let nothing: *const (dyn Fn(usize) + Sync) = &|_| ();
        Self {
            left: AtomicUsize::new(0),
            job: UnsafeCell::new(Job { items: 0, work: nothing }),
            asleep: AtomicBool::new(false),
            unfinished: Apart::default(),
            waiting: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            bed: Mutex::default(),
            job_is_up: Condvar::new(),
            job_is_done: Condvar::new(),
            panic: Mutex::default(),
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("unfinished", &self.unfinished.0).finish_non_exhaustive()
    }
}

impl Board {
    /// Has all items done, by the caller and whatever helper is free; an error is what an item panicked with.
    ///
    /// # Safety
    /// No other call may be under way, which is why the process has only one crew with helpers.
    pub(super) unsafe fn share(&self, items: usize, work: &(dyn Fn(usize) + Sync)) -> Result<(), Panic> {
        // SAFETY: only the lifetime changes; nobody looks at it once this function is over (see the board).
        let work: *const (dyn Fn(usize) + Sync) =
            unsafe { transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work) };
        // SAFETY: nobody else writes, and nobody holds an item and reads (see the board).
        unsafe { *self.job.get() = Job { items, work } };
        self.unfinished.0.store(items, Ordering::Relaxed);
        self.left.store(items, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            let _bed = self.bed();
            self.asleep.store(false, Ordering::SeqCst);
            self.job_is_up.notify_all();
        }
        self.work();
        self.wait();
        match self.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(panic) => Err(panic),
        }
    }

    /// The life of a helper.
    pub(super) fn help(&self) {
        let ready = || self.left.load(Ordering::SeqCst) > 0 || self.closed.load(Ordering::SeqCst);
        while !self.closed.load(Ordering::Acquire) {
            if self.work() || spin(IDLE, ready) {
                continue;
            }
            let mut bed = self.bed();
            loop {
                // Said before the look: whoever puts up a job looks the other way round, so one sees the other.
                self.asleep.store(true, Ordering::SeqCst);
                if ready() {
                    break;
                }
                bed = self.job_is_up.wait(bed).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Sends the helpers home.
    pub(super) fn close(&self) {
        let _bed = self.bed();
        self.closed.store(true, Ordering::SeqCst);
        self.job_is_up.notify_all();
    }

    /// Does items as long as there are any. Returns whether there were.
    fn work(&self) -> bool {
        let mut done = 0;
        while let Some(left) = self.take() {
            // SAFETY: an item is taken and not yet finished, so the job and what it points to are there (see the board).
            let (items, work) = unsafe {
                let job = &*self.job.get();
                (job.items, &*job.work)
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(items - left))) {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                done += self.left.swap(0, Ordering::AcqRel);
            }
            done += 1;
        }
        if done > 0
            && self.unfinished.0.fetch_sub(done, Ordering::SeqCst) == done
            && self.waiting.load(Ordering::SeqCst)
        {
            let _bed = self.bed();
            self.job_is_done.notify_one();
        }
        done > 0
    }

    /// Takes an item: the number of those that were left with it.
    fn take(&self) -> Option<usize> {
        let mut left = self.left.load(Ordering::Relaxed);
        while left > 0 {
            match self.left.compare_exchange_weak(left, left - 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(left),
                Err(now) => left = now,
            }
        }
        None
    }

    /// Waits until all items are done.
    fn wait(&self) {
        let done = || self.unfinished.0.load(Ordering::SeqCst) == 0;
        if spin(ENDING, done) {
            return;
        }
        let mut bed = self.bed();
        self.waiting.store(true, Ordering::SeqCst);
        while !done() {
            bed = self.job_is_done.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    fn bed(&self) -> MutexGuard<'_, ()> {
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spins until it is so, but not longer than `time`. Returns whether it is.
fn spin(time: Duration, so: impl Fn() -> bool) -> bool {
    let mut begun = None;
    loop {
        for _ in 0..64 {
            if so() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begun.get_or_insert_with(Instant::now).elapsed() > time {
            return so();
        }
    }
}
