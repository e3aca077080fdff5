//! `orchestrion bench`.

use crate::failure::Failure;
use crate::model::{self, EMBEDDED};
use orchestrion_bench::{Of, Row};
use std::path::Path;

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
    let shipped = model::open(Path::new(EMBEDDED))?;
    let report = orchestrion_bench::run(&arguments.rows, &shipped, tell).map_err(|e| Failure::usage(e.to_string()))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|e| Failure::new(e.to_string()))?);
    } else {
        let m = &report.machine;
        println!("{} threads read {:.1} GB/s and multiply at {:.0} GFLOP/s", m.threads, m.read_gb_s, m.gemm_gflop_s);
    }
    Ok(())
}

fn tell(row: &Row) {
    let of = match row.of {
        Some(Of::Products) => "rate of products",
        Some(Of::Reading) => "rate of reading",
        None => "",
    };
    let share = row.share.map(|share| format!(", {:.0} % of the machine's {of}", 100.0 * share));
    eprintln!("{:<24} {:.5} {}{}", row.name, row.value, row.unit, share.unwrap_or_default());
}
