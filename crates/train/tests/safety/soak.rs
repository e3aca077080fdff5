//! Many steps: neither memory nor open files grow.

use crate::material::{count, prior_task, recipe, sit};
use orchestrion_train::Outcome;

/// Resident memory in bytes, and open files.
#[cfg(target_os = "linux")]
fn taken() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (kilobytes * 1024, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Alone in its process, because others allocate too: `cargo test -p orchestrion-train --test safety soak -- --ignored`.
#[test]
#[ignore = "measures its whole process, so it runs alone"]
#[cfg(target_os = "linux")]
fn ten_thousand_steps() {
    let steps = count("ORCHESTRION_SOAK", 600);
    let folder = tempfile::tempdir().unwrap();
    let set = [format!("run.steps={steps}"), format!("run.save_every={}", steps / 10), "run.log_every=10".to_owned()];
    let recipe = recipe("top", &set.iter().map(String::as_str).collect::<Vec<_>>());
    let run = folder.path().join("run");
    // The first tenth fills caches and the allocator's own stores.
    sit(prior_task(&recipe, folder.path()).unwrap(), &recipe, &run, steps / 10).0.unwrap();
    let (memory, open) = taken();
    let (outcome, ..) = sit(prior_task(&recipe, folder.path()).unwrap(), &recipe, &run, 0);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    let (after, open_after) = taken();
    let slope = (after as f64 - memory as f64) / (steps as f64 * 0.9) * 1000.0 / 1e6;
    println!("{steps} steps: {slope:.3} MB in 1000 steps, {open_after} open files");
    // A short run measures the allocator's noise as well: a few hundred kilobytes in all.
    assert!(slope < 1.0 || after < memory + 1_000_000, "{slope:.2} MB in 1000 steps");
    assert_eq!(open, open_after, "open files");
}
