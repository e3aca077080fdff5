//! `orchestrion bench`.

use crate::failure::Failure;
use orchestrion_bench::Row;

/// Options of `orchestrion bench`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rows to measure [default: all]
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    orchestrion_engine::keep_freed_memory();
    let tell = |row: &Row| {
        let share = row.share.map(|s| format!(", {:.0} % of the machine's rate of products", 100.0 * s));
        eprintln!("{:<24} {:.4} {}{}", row.name, row.value, row.unit, share.unwrap_or_default());
    };
    let report = orchestrion_bench::run(&arguments.rows, tell).map_err(|e| Failure::usage(e.to_string()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|e| Failure::new(e.to_string()))?);
    } else {
        let m = &report.machine;
        println!("{} threads read {:.1} GB/s and multiply at {:.0} GFLOP/s", m.threads, m.read_gb_s, m.gemm_gflop_s);
    }
    Ok(())
}
