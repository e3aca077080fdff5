//! What a run of benchmarks says.

use orchestrion_engine::machine;
use serde::Serialize;
use std::time::Instant;

/// Runs that are timed, after two that are not.
const RUNS: usize = 5;

/// What the machine gives at best, measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Bytes a second that all threads read from memory, in GB/s.
    pub read_gb_s: f64,
    /// Operations a second of a large product, in GFLOP/s.
    pub gemm_gflop_s: f64,
    /// Threads.
    pub threads: usize,
}

impl Machine {
    /// Measures it: about a second.
    #[must_use]
    pub fn measure() -> Self {
        Self {
            read_gb_s: machine::read_rate(),
            gemm_gflop_s: machine::product_rate(),
            threads: rayon::current_num_threads(),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done; the same name in `bench/compare.py`.
    pub name: &'static str,
    /// Median of the runs.
    pub value: f64,
    /// Unit of the value.
    pub unit: &'static str,
    /// Share of the machine's rate of products, if the work is made of them.
    pub share: Option<f64>,
    /// Operations of one run, in GFLOP.
    #[serde(skip)]
    pub gflop: f64,
}

impl Row {
    /// The row with its share of what the machine gives.
    #[must_use]
    pub fn beside(mut self, machine: &Machine) -> Self {
        self.share = (self.gflop > 0.0).then(|| self.gflop / self.value / machine.gemm_gflop_s);
        self
    }
}

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Seconds of the middle one of several runs.
pub fn median(mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..RUNS + 2)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        })
        .skip(2)
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[RUNS / 2]
}
