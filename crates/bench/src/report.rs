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

/// The rate of the machine of which a row has a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Of {
    /// Operations a second: the work is made of products.
    #[serde(rename = "gemm_gflop_s")]
    Products,
    /// Bytes a second: every weight is read once.
    #[serde(rename = "read_gb_s")]
    Reading,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done; the same name in `bench/compare.py`.
    pub name: &'static str,
    /// Median of the runs.
    pub value: f64,
    /// Unit of the value: seconds of what.
    pub unit: &'static str,
    /// Share of the machine's rate.
    pub share: Option<f64>,
    /// Which rate that is.
    pub of: Option<Of>,
    /// Operations of one run in GFLOP, or bytes that it must read in GB.
    #[serde(skip)]
    pub work: f64,
}

impl Row {
    /// A row whose work is measured against a rate of the machine; it has no name and no share yet.
    #[must_use]
    pub fn of(of: Of, unit: &'static str, seconds: f64, work: f64) -> Self {
        Self { name: "", value: seconds, unit, share: None, of: Some(of), work }
    }

    /// A row that no rate of the machine measures.
    #[must_use]
    pub fn alone(unit: &'static str, seconds: f64) -> Self {
        Self { name: "", value: seconds, unit, share: None, of: None, work: 0.0 }
    }

    /// The row with its name, and its share of what the machine gives.
    #[must_use]
    pub fn beside(mut self, name: &'static str, machine: &Machine) -> Self {
        self.name = name;
        let rate = self.of.map(|of| match of {
            Of::Products => machine.gemm_gflop_s,
            Of::Reading => machine.read_gb_s,
        });
        self.share = rate.map(|rate| self.work / self.value / rate);
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
