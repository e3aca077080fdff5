//! Independent jobs on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Runs `job(0) .. job(count - 1)` on as many threads as the machine has cores, and hands every result to `done`
/// on the calling thread, in the order in which they come. A job that is not started yet is left out as soon as
/// `done` returns false.
pub(crate) fn in_parallel<R: Send>(
    count: usize,
    job: impl Fn(usize) -> R + Sync,
    mut done: impl FnMut(usize, R) -> bool,
) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..cores.min(count) {
            let (send, next, job) = (send.clone(), &next, &job);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // Sending fails once nobody wants more.
                    if index >= count || send.send((index, job(index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for (index, result) in receive {
            if !done(index, result) {
                next.store(count, Ordering::Relaxed);
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_runs_once_until_told_to_stop() {
        let mut squares = vec![0; 100];
        in_parallel(
            100,
            |i| i * i,
            |i, square| {
                squares[i] += square;
                true
            },
        );
        assert!(squares.iter().enumerate().all(|(i, &square)| square == i * i));
        let ran = AtomicUsize::new(0);
        let job = |_| ran.fetch_add(1, Ordering::Relaxed);
        in_parallel(1_000_000, job, |_, _| false);
        assert!(ran.into_inner() < 1_000_000);
        in_parallel(0, |i| i, |_, _| panic!("no job, no result"));
    }
}
